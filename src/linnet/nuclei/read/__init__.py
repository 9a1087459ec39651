"""Image files: which format, which plane, which pixel size."""
