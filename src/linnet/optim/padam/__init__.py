"""Padam: the optimizer, its state and its rates."""
