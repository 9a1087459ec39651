"""Measurements side by side with others: `python -m benchmarks SUBJECT [--quick] [--json FILE]`."""
