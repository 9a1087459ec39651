"""The command line: one file per verb, and torch only inside the verbs that compute."""

from linnet.cli.application import app, main

__all__ = ["app", "main"]
