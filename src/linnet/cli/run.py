"""`linnet run`: one recipe file in, one run folder out."""

import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from linnet.cli.closing import closing
from linnet.errors import RecipeError

if TYPE_CHECKING:
    from linnet.results import Record


def run(
    recipe: Path,
    /,
    *,
    out: Annotated[Path | None, Parameter(alias="-o")] = None,
    set_: Annotated[list[str] | None, Parameter(name="--set", negative="")] = None,
) -> int:
    """Train as a recipe file says; leaves one folder with the network, its records and a report.

    The whole file is checked before anything starts. A run that was stopped goes on when the command is given again.

    Args:
        recipe: TOML file with the sections [data], [model], [optimizer], [train] and [report].
        out: The run folder; by default runs/NAME-OF-THE-RECIPE.
        set_: Replaces a value of the file, as SECTION.KEY=VALUE; may be given again. A relative path
            among them begins in the current folder.
    """
    from linnet.recipe import run as run_recipe

    folder = run_recipe(recipe, out=out, overrides=dict(_setting(words) for words in set_ or ()))
    for record in folder.records():
        if "epoch" not in record.context and record.value is not None:
            print(_result(record))
    closing(folder.path / "report.html", f"open it in a browser; the trained network is {folder.weights}")
    return 0


def _result(record: "Record") -> str:
    """A record in one line: "accuracy in class: 0.8636 (test, class 8)"."""
    value = record.value or 0.0
    shown = f"{value:.0f}" if float(value).is_integer() else f"{value:.4g}"
    of = [record.split, *(f"{key} {record.context[key]}" for key in ("class", "group") if key in record.context)]
    told = ", ".join(part for part in of if part)
    return f"{record.name}: {shown}{f' {record.unit}' if record.unit else ''}{f' ({told})' if told else ''}"


def _setting(words: str) -> tuple[str, Any]:
    """`SECTION.KEY=VALUE` as a pair; the value is read as TOML, and as plain text where it isn't TOML."""
    name, equals, value = words.partition("=")
    if not equals or not name.strip():
        raise RecipeError(f"--set came with `{words}`; SECTION.KEY=VALUE was needed, such as train.epochs=2.")
    try:
        return name.strip(), tomllib.loads(f"value = {value}")["value"]
    except tomllib.TOMLDecodeError:
        return name.strip(), value.strip()
