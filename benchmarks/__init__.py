"""Measurements of the runner and its steps: `python -m benchmarks`."""
