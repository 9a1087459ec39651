"""`linnet report`: measured numbers as one page."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from linnet.cli.words import in_cli_words


@in_cli_words
def report(source: Path, /, *, out: Annotated[Path | None, Parameter(alias="-o")] = None, title: str = "") -> int:
    """Show a run folder, or a file of records, as one HTML page that needs no network.

    Args:
        source: Folder that a linnet run left, or a file with one record a line.
        out: The page; by default report.html in the folder, or beside the file.
        title: Heading of the page; by default the name of the folder or file.
    """
    from linnet.report import write_report

    beside = source / "report.html" if source.is_dir() else source.with_name(f"{source.stem}.report.html")
    page = write_report(source, out or beside, title=title)
    print(f"Result: {page}")
    print("Next:   open it in a browser; it is one file, so it can be sent as it is")
    return 0
