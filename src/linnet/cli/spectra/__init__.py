"""The verb `linnet spectrum`."""
