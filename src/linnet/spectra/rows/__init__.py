"""The rows of a network's Jacobian, captured once under a byte budget; what refuses to have them."""
