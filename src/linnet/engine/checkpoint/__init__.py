"""The state of a run: what belongs to it, how it is kept, and how it goes on."""
