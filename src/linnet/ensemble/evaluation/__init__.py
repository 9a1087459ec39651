"""How good an ensemble is: one report by the same code for every method, and comparisons paired by seed."""
