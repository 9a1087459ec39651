"""Formats whose readers come with an extra: `pip install "linnet[slides]"` or `"linnet[formats]"`."""
