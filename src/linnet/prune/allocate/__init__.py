"""How many channels each prunable group keeps within the budget."""
