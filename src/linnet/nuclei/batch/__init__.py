"""Many images at once: the loop, the page and the pictures."""
