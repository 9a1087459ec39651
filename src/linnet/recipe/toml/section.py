"""From a TOML table to a section: a frozen dataclass whose fields are settings."""

import dataclasses
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol, get_type_hints

from linnet.recipe.toml.lines import Place
from linnet.recipe.toml.setting import Setting, accept, needed, table_of
from linnet.suggest import meant


@dataclass(frozen=True)
class Problem:
    """One thing in a recipe that must be changed.

    Attributes:
        path: Names of section and key, as far as they apply.
        text: What the value must be and what was given; a sentence without its line and without a full stop.
    """

    path: Place
    text: str


class Section(Protocol):
    """What the dataclass of a section may have besides its fields: rules that concern more than one of them."""

    def problems(self) -> Iterator[tuple[str, str]]:
        """(key, sentence that names it) for each broken rule; called when every value is valid by itself."""
        ...

    def problems_with(self, sections: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
        """(key, sentence) for each rule between this section and another that is broken.

        Args:
            sections: Sections by name; None where one is absent. One that is wrong by itself isn't among them.
        """
        ...


def settings_of(section: type) -> dict[str, tuple[Any, Setting, Any]]:
    """Type, setting and default (`dataclasses.MISSING` if there is none) of each key of a section's dataclass.

    A key that is a keyword of Python, such as `from`, is a field with an underscore behind it.
    """
    hints = get_type_hints(section)
    return {
        _key(field.name): (hints[field.name], field.metadata["setting"], field.default)
        for field in dataclasses.fields(section)
        if "setting" in field.metadata
    }


def read_section(name: str, section: type, table: Mapping[str, Any]) -> tuple[Any, list[Problem]]:
    """The section that a TOML table describes, and everything that is wrong with it.

    Args:
        name: The section's, without brackets.
        section: A frozen dataclass with fields made by `setting`.
        table: The values, as TOML gave them.

    Returns:
        (section, []) or (None, problems).
    """
    known = settings_of(section)
    problems = [Problem((name, key), f"[{name}] {unknown(key, known)}") for key in table if key not in known]
    values = {}
    for key, (annotation, about, default) in known.items():
        inner = table_of(annotation)
        if key in table and inner is not None and isinstance(table[key], dict):
            values[key], found = read_section(f"{name}.{key}", inner, table[key])
            problems += [Problem((name, key, *problem.path[1:]), problem.text) for problem in found]
        elif key in table:
            values[key], complaint = accept(table[key], annotation, about)
            if complaint:
                problems.append(Problem((name, key), f"[{name}] `{key}` ({about.doc}) {complaint}"))
        elif default is dataclasses.MISSING:
            complaint = f"is missing; it must be {needed(annotation, about)}"
            problems.append(Problem((name, key), f"[{name}] `{key}` ({about.doc}) {complaint}"))
    if problems:
        return None, problems
    fields = {_key(field.name): field.name for field in dataclasses.fields(section)}
    made = section(**{fields[key]: value for key, value in values.items()})
    rules = made.problems() if callable(getattr(section, "problems", None)) else ()
    problems = [Problem((name, key), f"[{name}] {complaint}") for key, complaint in rules]
    return (None, problems) if problems else (made, [])


def plain(section: Any) -> dict[str, Any]:
    """Every value of a section, as JSON holds it, by its key in the recipe."""
    values = {_key(field.name): getattr(section, field.name) for field in dataclasses.fields(section)}
    return {key: _plain(value) for key, value in values.items()}


def _plain(value: Any) -> Any:
    if dataclasses.is_dataclass(value):
        return plain(value)
    return list(value) if isinstance(value, tuple) else value


def _key(field: str) -> str:
    return field.removesuffix("_")


def unknown(name: str, known: Collection[str], quoted: str = "`{}`") -> str:
    """A sentence that says that a name isn't known, with the nearest known one and all of them.

    Args:
    name: The name given.
    known: The known names.
    quoted: How names are shown.
    """
    return f"{quoted.format(name)} is unknown.{meant(name, known, quoted)} Known here: {', '.join(known)}"
