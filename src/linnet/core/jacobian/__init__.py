"""Jacobians of networks by layers, and the losses whose curvature they carry."""
