"""What the records of the study say: claims, tables, pictures, the page."""
