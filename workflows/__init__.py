"""What happens, in which order. Every effect is an activity, every rule is the core's."""
