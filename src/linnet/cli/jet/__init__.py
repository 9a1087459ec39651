"""`linnet jet`: its verbs and what they are given."""
