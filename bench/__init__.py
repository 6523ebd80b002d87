"""Benchmarks: what is measured, never asserted. ``python -m bench`` compares, and says how."""
