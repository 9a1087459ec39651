"""The page of a study: tables, pictures, the worst transfer."""
