"""The page about a program of integers: layers, cost, kernels and feature maps."""
