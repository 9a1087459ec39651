"""The last lines of every verb: where the result is, and what to do next."""

from pathlib import Path


def closing(where: Path | str, then: str) -> None:
    """Prints where the result is and what to type next."""
    print()
    print(f"Result: {where}")
    print(f"Next:   {then}")
