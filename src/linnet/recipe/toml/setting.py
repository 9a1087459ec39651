"""One key of a recipe: its type, its range and its purpose, said once, in the field of a dataclass.

A package for validation would not spare much: the messages name lines and keys of the TOML file, which it doesn't know.
"""

import dataclasses
import math
import types
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, Union, get_args, get_origin

from linnet.suggest import meant

_ARTICLES = {bool: "true or false", int: "a whole number", float: "a number", str: "a text"}
_PLURALS = {bool: "of true and false", int: "whole numbers", float: "numbers", str: "texts"}


@dataclass(frozen=True)
class Setting:
    """The facts about a key besides its type; they stand in the metadata of a dataclass field.

    Attributes:
        doc: What the key is for, one sentence without a full stop.
        choices: The allowed values; empty: all.
        at_least: Smallest allowed value.
        above: All values must be larger than this.
        at_most: Largest allowed value.
        below: All values must be smaller than this.
        is_path: Whether it is a path. Relative paths begin in the recipe's folder; overrides begin in the current one.
    """

    doc: str
    choices: tuple[Any, ...] = ()
    at_least: float | None = None
    above: float | None = None
    at_most: float | None = None
    below: float | None = None
    is_path: bool = False

    def allows(self, value: Any) -> bool:
        """Whether a value of the right type is a choice and within the bounds."""
        if self.choices:
            return value in self.choices
        if isinstance(value, bool) or not isinstance(value, int | float):
            return True
        low = self.above is None or value > self.above
        high = self.below is None or value < self.below
        bounded = (self.at_least is None or value >= self.at_least) and (self.at_most is None or value <= self.at_most)
        return low and high and bounded and math.isfinite(value)

    def range(self) -> str:
        """The bounds in words, like " of at least 1" or " above 0 and below 1"; empty when there are none."""
        if self.at_least is not None and self.at_most is not None:
            return f" from {_bound(self.at_least)} to {_bound(self.at_most)}"
        words = {"of at least": self.at_least, "above": self.above, "of at most": self.at_most, "below": self.below}
        parts = [f"{word} {_bound(bound)}" for word, bound in words.items() if bound is not None]
        return " " + " and ".join(parts) if parts else ""


def _bound(value: float) -> str:
    """A bound, without an exponent where it is a large whole number."""
    return f"{value:,.0f}" if abs(value) >= 1e6 and float(value).is_integer() else f"{value:g}"


def setting(doc: str, *, default: Any = dataclasses.MISSING, **limits: Any) -> Any:
    """A dataclass field that a recipe can set.

    Args:
        doc: What it is for, one sentence without a full stop.
        default: Its value when the recipe doesn't say; without one the recipe must say.
        **limits: The other attributes of `Setting`.

    Example:
        >>> @dataclass(frozen=True)
        ... class TrainSection:
        ...     epochs: int = setting("passes over the training images", at_least=1)
    """
    return dataclasses.field(default=default, metadata={"setting": Setting(doc, **limits)})


def accept(value: Any, annotation: Any, known: Setting) -> tuple[Any, str]:
    """A value as its field wants it, or what is wrong with it.

    Whole numbers pass as numbers, lists become tuples; nothing else is converted.

    Args:
        value: As TOML gave it.
        annotation: The field's type: bool, int, float, str, Literal[...], tuple[T, ...], tuple[T, T], dict[str, T], or
            one | None.
            A type | a dataclass takes a table too, which `section.read_section` reads.
        known: Choices and bounds; they hold for every item of a list.

    Returns:
        (the value, "") or (None, a sentence without the key's name).
    """
    wanted, table = needed(annotation, known), table_of(annotation)
    annotation, known = _plain(_without(annotation, table) if table else annotation, known)
    if get_origin(annotation) is tuple:
        return _accept_list(value, annotation, known)
    if get_origin(annotation) is dict:
        return _accept_named(value, annotation, known)
    converted = _converted(value, annotation)
    if converted is None:
        return None, f"must be {wanted} (got {shown(value)}{_kind(value)})"
    if isinstance(converted, float) and not math.isfinite(converted):
        return None, f"must be a finite number (got {shown(value)})"
    if not known.allows(converted):
        near = meant(value, known.choices, quoted='"{}"')
        return None, f"must be {wanted} (got {shown(value)}).{near}".removesuffix(".")
    return converted, ""


def needed(annotation: Any, known: Setting) -> str:
    """What a field takes, in words: "a whole number of at least 1"."""
    table = table_of(annotation)
    if table is not None:
        keys = ", ".join(field.name.removesuffix("_") for field in dataclasses.fields(table))
        return f"{needed(_without(annotation, table), known)} or a table {{{keys}}}"
    annotation, known = _plain(annotation, known)
    if known.choices:
        return "one of " * (len(known.choices) > 1) + ", ".join(shown(choice) for choice in known.choices)
    if get_origin(annotation) is dict:
        return f'a table {{"name" = {_ARTICLES[get_args(annotation)[1]]}{known.range()}, ...}}'
    if get_origin(annotation) is not tuple:
        return _ARTICLES[annotation] + known.range()
    items = get_args(annotation)
    each = f", each{known.range()}," if known.range() else ""
    return f"a list of {'' if items[-1] is Ellipsis else f'{len(items)} '}{_PLURALS[items[0]]}{each}"


def table_of(annotation: Any) -> type | None:
    """The dataclass among the types of a union, which a table of the recipe is read into; None when there is none."""
    types_in_it = (option for option in get_args(annotation) if isinstance(option, type))
    return next((option for option in types_in_it if dataclasses.is_dataclass(option)), None)


def shown(value: Any) -> str:
    """A TOML value as one would type it, cut when it is long."""
    typed = _typed(value)
    return typed if len(typed) <= 40 else typed[:37] + "..."


def _accept_list(value: Any, annotation: Any, known: Setting) -> tuple[Any, str]:
    items = get_args(annotation)
    fixed = items[-1] is not Ellipsis
    if not isinstance(value, list) or (fixed and len(value) != len(items)):
        return None, f"must be {needed(annotation, known)} (got {shown(value)})"
    converted = [_converted(item, items[0]) for item in value]
    wrong = [item for item, after in zip(value, converted, strict=True) if after is None or not known.allows(after)]
    if wrong:
        return None, f"must be {needed(annotation, known)} (got {shown(wrong[0])} in it)"
    return tuple(converted), ""


def _accept_named(value: Any, annotation: Any, known: Setting) -> tuple[Any, str]:
    """A table whose names are free, such as patterns of module paths."""
    wanted = needed(annotation, known)
    if not isinstance(value, dict) or not value:
        return None, f"must be {wanted} (got {shown(value)})"
    kind = get_args(annotation)[1]
    for name, item in value.items():
        after = _converted(item, kind)
        if after is None or not known.allows(after):
            return None, f"must be {wanted} (got {shown(name)} = {shown(item)})"
    return {name: _converted(item, kind) for name, item in value.items()}, ""


def _converted(value: Any, annotation: type) -> Any:
    """The value in the type wanted, None if it has another. (TOML has no null, so None is free.)

    A whole number beyond 64 bits, which TOML doesn't promise to hold, is of no type.
    """
    if type(value) is int and not _is_64_bit(value):
        return None
    if annotation is float and type(value) is int:
        return float(value)
    return value if type(value) is annotation else None


def _plain(annotation: Any, known: Setting) -> tuple[Any, Setting]:
    """The type without None, and the setting with the choices that the type names."""
    if get_origin(annotation) in (Union, types.UnionType):
        (annotation,) = [option for option in get_args(annotation) if option is not type(None)]
    if get_origin(annotation) is Literal:
        choices = get_args(annotation)
        return type(choices[0]), dataclasses.replace(known, choices=choices)
    return annotation, known


def _without(annotation: Any, table: type) -> Any:
    """A union without one of its types."""
    return Union[tuple(option for option in get_args(annotation) if option is not table)]  # noqa: UP007  made at run time


def _is_64_bit(value: int) -> bool:
    return -(2**63) <= value < 2**63


def _typed(value: Any) -> str:
    if isinstance(value, int) and not _is_64_bit(value):
        return "a whole number beyond 64 bits"  # Python refuses to write out the largest
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return f'"{value}"'
    if isinstance(value, Sequence):
        return f"[{', '.join(_typed(item) for item in value)}]"
    if isinstance(value, dict):
        return f"{{{', '.join(f'{key} = {_typed(item)}' for key, item in value.items())}}}"
    return str(value)


def _kind(value: Any) -> str:
    """The kind of a single value, in brackets; that of true, lists and tables is plain to see."""
    if isinstance(value, bool | dict | list) or (isinstance(value, int) and not _is_64_bit(value)):
        return ""
    return f" ({_ARTICLES.get(type(value), 'a date or time')})"
