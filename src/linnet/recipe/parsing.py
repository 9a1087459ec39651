"""From a TOML file to a Plan, or to one message with everything that is wrong with it."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from linnet.errors import RecipeError
from linnet.recipe.plan import OPTIONAL, SECTIONS, Plan, RecipeTask
from linnet.recipe.tasks import find_task
from linnet.recipe.toml.document import all_problems, read_tables, read_text
from linnet.recipe.toml.lines import Place, lines_of
from linnet.recipe.toml.section import Problem, read_section, settings_of, unknown
from linnet.recipe.toml.setting import shown
from linnet.suggest import nearest_of


def parse(
    path: Path | str,
    *,
    overrides: Mapping[str, Any] | None = None,
    task_named: Callable[[str], RecipeTask] = find_task,
) -> Plan:
    """Reads a recipe and checks all of it before anything is done.

    Args:
        path: A TOML file: `task = "..."`, then sections.
        overrides: Values that replace the file's, by dotted name: {"train.epochs": 1}. Relative paths among them begin
            in the current folder.
        task_named: Gives the task of a name, or raises RecipeError.

    Raises:
        RecipeError: it can't be read or isn't TOML; or there are sections, keys or values that can't be used. All of
            them are listed, each with its line.
    """
    path = Path(path)
    text = read_text(path)
    tables = read_tables(path, text)
    changed = {tuple(name.split(".")): value for name, value in (overrides or {}).items()}
    for place, value in changed.items():
        _put(tables, place, value)
    task, problems = _task(tables, task_named)
    known = {**(dict(task.sections) if task else {}), **SECTIONS}
    sections = {}
    for name, section in known.items():
        _begin_here(name, section, tables, changed)
        if name in OPTIONAL and name not in tables:
            sections[name] = None
            continue
        sections[name], found = _section(name, section, tables)
        problems += found
    meant = {word for name in tables if name not in known for word in nearest_of(name, known)}
    sound = {n: s for n, s in sections.items() if s is not None or (n not in tables and n not in meant)}
    problems += _against_each_other(sound)
    judged = ("task",) if task else ("task", "data", "model")  # a task that isn't known may have these
    problems += [_unknown_name(name, tables[name], known) for name in tables if name not in (*known, *judged)]
    if problems or task is None:
        raise RecipeError(all_problems(path, problems, lines_of(text), set(changed)))
    return Plan(path, text, task, sections)


def _put(tables: dict[str, Any], place: Place, value: Any) -> None:
    for name in place[:-1]:
        inner = tables.setdefault(name, {})
        if not isinstance(inner, dict):
            return  # the complaint about a section that isn't a table is enough
        tables = inner
    tables[place[-1]] = list(value) if isinstance(value, tuple) else value


def _begin_here(name: str, section: type, tables: dict[str, Any], changed: Mapping[Place, Any]) -> None:
    """Paths that came as overrides begin in the current folder, not in the recipe's."""
    for key, (_, about, _) in settings_of(section).items():
        if about.is_path and isinstance(changed.get((name, key)), str) and isinstance(tables.get(name), dict):
            tables[name][key] = str(Path.cwd() / Path(changed[name, key]).expanduser())


def _task(
    tables: Mapping[str, Any], task_named: Callable[[str], RecipeTask]
) -> tuple[RecipeTask | None, list[Problem]]:
    name = tables.get("task")
    if name is None:
        return None, [Problem((), '`task` is missing; say in the first line what to train: task = "classify"')]
    if not isinstance(name, str):
        return None, [Problem(("task",), f"`task` must be a text (got {shown(name)})")]
    try:
        return task_named(name), []
    except RecipeError as refusal:
        return None, [Problem(("task",), str(refusal).rstrip("."))]


def _section(name: str, section: type, tables: Mapping[str, Any]) -> tuple[Any, list[Problem]]:
    table = tables.get(name, {})
    if isinstance(table, dict):
        return read_section(name, section, table)
    what = f"[[{name}]]" if isinstance(table, list) else f"{name} = {shown(table)}"
    return None, [Problem((name,), f"{what} must be one section [{name}]")]


def _against_each_other(sections: Mapping[str, Any]) -> list[Problem]:
    """What is wrong between sections that are fine by themselves.

    A section that is wrong by itself isn't among them, nor one whose name may be misspelt: that has its own complaint.
    """
    return [
        Problem((name, key), f"[{name}] {complaint}")
        for name, section in sections.items()
        if section is not None and callable(getattr(section, "problems_with", None))
        for key, complaint in section.problems_with(sections)
    ]


def _unknown_name(name: str, value: Any, known: Mapping[str, type]) -> Problem:
    if isinstance(value, dict | list):
        return Problem((name,), unknown(name, known, "[{}]"))
    homes = [f"[{section}]" for section, keys in known.items() if name in settings_of(keys)]
    if homes:
        return Problem((name,), f"`{name}` stands outside the sections; move it to {' or '.join(homes)}")
    return Problem((name,), unknown(name, ["task"]))
