"""Ours beside what one would take instead: ``python benchmarks/rivals``."""
