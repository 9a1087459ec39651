"""Kernels and spectra beside other ways to compute them."""
