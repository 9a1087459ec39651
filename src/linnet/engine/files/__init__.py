"""Safetensors files with their facts: networks, checkpoints, detectors."""
