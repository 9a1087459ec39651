"""Xing et al. 2019: which training images a nucleus detector needs."""
