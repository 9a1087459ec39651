"""Detections beside annotations: matching and scores."""
