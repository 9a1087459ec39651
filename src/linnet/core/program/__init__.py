"""What one forward pass runs: the recorded program, its cost and its memory."""
