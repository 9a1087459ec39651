"""Karakida & Osawa 2020: approximate Fisher information and fast convergence in wide networks."""
