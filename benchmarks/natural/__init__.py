"""What a natural gradient step costs."""
