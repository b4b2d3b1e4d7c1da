"""Figures of the loop beside its peers': `python -m benchmarks`."""
