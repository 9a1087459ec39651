"""What the records of the study of jets say: claims, tables, pictures, README and page."""
