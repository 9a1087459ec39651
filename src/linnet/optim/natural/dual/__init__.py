"""Steps by Gram matrices: exact, block and tridiagonal."""
