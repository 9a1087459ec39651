"""Inputs and output gradients of every layer in one backward pass, and what is read off them."""
