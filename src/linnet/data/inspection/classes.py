"""The classes of an inspection."""

CLASSES = ("good", "defect")
