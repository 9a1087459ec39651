"""Outputs that share adders, and scores that share one adder bit by bit, where positions come seldom."""
