"""Steps by Kronecker factors: K-FAC and the unit-wise approximation."""
