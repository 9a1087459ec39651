"""Pathological spectra of the Fisher information metric: what is claimed, and what is measured here."""
