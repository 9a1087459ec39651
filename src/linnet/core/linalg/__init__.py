"""Linear algebra: damped solves, Lanczos, matrices known by their products, traces."""
