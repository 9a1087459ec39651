"""A recipe's file read, with the line of every mistake."""
