"""`linnet run`: one recipe file in, one run folder out."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from linnet.cli.closing import closing


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
        set_: Replaces a value of the file, as SECTION.KEY=VALUE; may be given again.
    """
    from linnet.recipe import run as run_recipe

    folder = run_recipe(recipe, out=out, overrides=tuple(set_ or ()))
    for record in folder.records():
        if record.split:
            print(f"{record.name} ({record.split}): {record.value}{f' {record.unit}' if record.unit else ''}")
    closing(folder.path / "report.html", f"open it in a browser; the network is {folder.weights.name} beside it")
    return 0
