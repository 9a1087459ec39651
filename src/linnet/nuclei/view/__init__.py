"""A page on this computer to look at what was found, and to correct it."""
