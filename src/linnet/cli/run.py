"""`linnet run`: one recipe file in, one run folder out."""

import json
import shlex
import tomllib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from linnet.cli.next_step import closing
from linnet.cli.words import in_cli_words
from linnet.errors import RecipeError

if TYPE_CHECKING:
    from linnet.results import Record, RunFolder


@in_cli_words
def run(
    recipe: Path,
    /,
    *,
    out: Annotated[Path | None, Parameter(alias="-o")] = None,
    set_: Annotated[list[str] | None, Parameter(name="--set", negative="")] = None,
    plan: Annotated[bool, Parameter(negative="")] = False,
) -> int:
    """Train as a recipe file says; leaves one folder with the network, its records and a report.

    The whole file is checked before anything starts. A run that was stopped goes on when the command is given again.

    Args:
        recipe: TOML file with the sections [data], [model], [optimizer], [train], [report]; [prune] for a network that
            is to become small; [hatch], [calibrate], [evaluate], [export] for an ensemble.
        out: The run folder; by default runs/NAME-OF-THE-RECIPE.
        set_: Replaces a value of the file, as SECTION.KEY=VALUE; may be given again. A relative path in it begins in
            the current folder.
        plan: Only show what would be done: stages, steps, costs, with [hatch] the members' steps, and with [prune]
            which channels would stay. Nothing is trained or written.
    """
    overrides = dict(_setting(words) for words in set_ or ())
    if plan:
        from linnet.recipe import dry_run

        print(dry_run(recipe, out=out, overrides=overrides))
        words = ["linnet", "run", str(recipe), *(part for one in set_ or () for part in ("--set", one))]
        closing("the plan above; nothing was written", shlex.join([*words, *(["-o", str(out)] if out else [])]))
        return 0
    from linnet.recipe import run as run_recipe

    folder = run_recipe(recipe, out=out, overrides=overrides)
    for line in result_lines(folder.records()):
        print(line)
    for line in ensemble_lines(folder.path):
        print(line)
    closing(folder.path / "report.html", f"open it in a browser; {_files(folder)}")
    return 0


def result_lines(records: "Sequence[Record]") -> Iterator[str]:
    """The results of a run in a few lines: with several methods, a table with a column for each.

    The course of training, and what only the report's pictures show, is left out.
    """
    shown = [r for r in records if r.value is not None and not r.context.keys() & {"epoch", "bin", "layer"}]
    methods = list(dict.fromkeys(record.method for record in shown))
    if len(methods) < 2:
        yield from map(_result, shown)
        return
    rows: dict[str, dict[str, str]] = {}
    for record in shown:
        if "class" not in record.context:
            limit = f" {record.context['limit']}" if "limit" in record.context else ""
            rows.setdefault(f"{record.name}{limit}", {})[record.method] = _number(record)
    cells = [["", *methods], *([name, *(found.get(method, "-") for method in methods)] for name, found in rows.items())]
    widths = [max(len(row[column]) for row in cells) for column in range(len(methods) + 1)]
    for row in cells:
        name, *numbers = row
        aligned = [number.rjust(width) for number, width in zip(numbers, widths[1:], strict=True)]
        yield "  ".join([name.ljust(widths[0]), *aligned]).rstrip()


def ensemble_lines(folder: Path) -> Iterator[str]:
    """Which temperature is which, in the folder of a run with [hatch] and [calibrate]."""
    from linnet.recipe.ensembles import CALIBRATION

    if (folder / CALIBRATION).exists():
        own = json.loads((folder / CALIBRATION).read_text(encoding="utf-8"))["temperature"]
        yield (
            "The temperatures above were fitted on all validation images, one for each column, and make its "
            f"calibrated_ rows. The ensemble's file keeps {own:.4g}, fitted on one half, "
            "and the prediction sets of the other."
        )


def _files(folder: "RunFolder") -> str:
    """The files that a run left for use: the ensemble before the network that it was hatched from."""
    from linnet.recipe.ensembles import ENSEMBLE, ONNX

    onnx = next((path for path in (folder.path / ONNX, folder.path / "model.onnx") if path.exists()), None)
    others = f", for other runtimes {onnx}" if onnx else ""
    if (folder.path / ENSEMBLE).exists():
        return f"the ensemble is {folder.path / ENSEMBLE}{others}"
    return f"the trained network is {folder.weights}{others}"


def _result(record: "Record") -> str:
    """A record in one line: "accuracy in class: 0.8636 (test, class 8)"."""
    of = [record.split, *(f"{key} {record.context[key]}" for key in ("class", "group") if key in record.context)]
    told = ", ".join(part for part in of if part)
    return f"{record.name}: {_number(record)}{f' ({told})' if told else ''}"


def _number(record: "Record") -> str:
    value = record.value or 0.0
    shown = f"{value:.0f}" if float(value).is_integer() else f"{value:.4g}"
    return f"{shown} {record.unit}" if record.unit else shown


def _setting(words: str) -> tuple[str, Any]:
    """`SECTION.KEY=VALUE` as a pair; the value is read as TOML, and as plain text where it isn't TOML."""
    name, equals, value = words.partition("=")
    if not equals or not name.strip():
        raise RecipeError(f"`--set` must be SECTION.KEY=VALUE, such as train.epochs=2 (got {words!r}).")
    try:
        return name.strip(), tomllib.loads(f"value = {value}")["value"]
    except tomllib.TOMLDecodeError:
        return name.strip(), value.strip()
