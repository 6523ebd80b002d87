"""What happens, in which order. Deterministic: every effect is an activity, every rule is the core's."""
