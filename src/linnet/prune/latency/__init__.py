"""Budgets in milliseconds: measured kernels, the table between them, and the target."""
