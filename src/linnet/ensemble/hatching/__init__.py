"""Hatching: one seed network, or several, become the members of an ensemble."""
