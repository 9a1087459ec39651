"""Networks with masked channels, and the importance of each channel from their gradients."""
