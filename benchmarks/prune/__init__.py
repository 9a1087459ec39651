"""What pruning to a budget reaches."""
