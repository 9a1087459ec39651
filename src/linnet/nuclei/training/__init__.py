"""Detectors that are trained: crops, targets, loss."""
