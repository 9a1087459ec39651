"""Ensembles: the generated suite of corruptions, and the evaluation of many members."""
