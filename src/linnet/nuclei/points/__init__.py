"""Detections and points: in memory and in files."""
