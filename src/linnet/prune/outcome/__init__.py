"""The outcome of pruning, as records."""
