"""Reproduction of Simons & Lee 2021: neural jet features beside binarized convolution, on small networks."""
