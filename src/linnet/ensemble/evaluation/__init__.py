"""How good an ensemble is: metrics, one report by the same code for every method, and comparisons paired by seed."""
