"""What channels are worth: criteria, from the weights or from data, and their running mean."""
