"""Training of all members: one after the other, stacked, or side by side in grouped layers; whichever is fastest."""
