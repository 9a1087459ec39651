"""Pruning while a network trains: schedule, checks, history and the listener for `fit`."""
