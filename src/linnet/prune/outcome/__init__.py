"""What pruning came to, as records."""
