"""What the records of the study say: claims, tables, pictures, README and page."""
