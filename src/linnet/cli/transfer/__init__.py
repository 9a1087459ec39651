"""The verb that asks which images a detector must have seen."""
