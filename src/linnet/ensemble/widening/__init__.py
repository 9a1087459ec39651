"""Wider networks of the same function: how many copies each channel gets, what the copies hold, and the proof."""
