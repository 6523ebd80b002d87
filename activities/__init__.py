"""Verbs with effects: thin classes over ports, one module for each neighbour."""
