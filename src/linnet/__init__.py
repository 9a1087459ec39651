"""linnet takes a vision network through its whole life: trains it fast, understands it, makes it sure, makes it small, and counts nuclei with it."""
