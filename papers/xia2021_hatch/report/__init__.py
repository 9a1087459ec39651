"""What the records say, as tables, pictures and pages."""
