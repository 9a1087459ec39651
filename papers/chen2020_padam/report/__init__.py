"""What the records of the study say: claims, tables, pictures, the README and the page."""
