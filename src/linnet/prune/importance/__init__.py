"""Importance of channels: criteria, from the weights or from data, and their running mean."""
