"""Benchmarks: what is measured, never asserted. Each prints one JSON document."""
