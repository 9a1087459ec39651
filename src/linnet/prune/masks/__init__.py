"""Networks with masked channels, and what their gradients say of each channel."""
