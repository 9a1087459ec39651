"""The papers, one folder each: what they claim, what came out here, and the command that finds it again."""
