"""Metrics of probabilities, confidences and uncertainties: one number for one set of answers."""
