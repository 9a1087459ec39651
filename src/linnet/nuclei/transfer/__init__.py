"""Which images a detector must have seen: a study over groups of images."""
