"""Two interpreters of an integer program that share no code: torch and numpy."""
