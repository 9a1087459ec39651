"""Ways to compute one step of Padam; all give the same numbers."""
