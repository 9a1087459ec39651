"""The former place of `linnet.core.rule`, kept for code that imports it from here."""

from linnet.core.channels.rule_call import rule

__all__ = ["rule"]
