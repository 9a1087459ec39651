"""Making an ensemble's confidence true: one temperature for the pool, one factor for a variance, prediction sets."""
