"""How well and how fast the shipped detector finds nuclei."""
