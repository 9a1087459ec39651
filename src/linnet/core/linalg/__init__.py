"""Linear algebra: matrices known by their products, Lanczos and block Lanczos, estimates with their errors."""
