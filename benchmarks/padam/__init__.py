"""What a step of Padam costs."""
