"""HatchEnsemble against its rivals at equal compute."""
