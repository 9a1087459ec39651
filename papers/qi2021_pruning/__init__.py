"""Reproduction of Qi et al. 2021: pruned while it trains, straight to a budget, beside its rivals."""
