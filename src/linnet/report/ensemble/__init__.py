"""An ensemble's sections of a report."""
