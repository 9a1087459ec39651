"""`python -m benchmarks SUBJECT [--quick] [--json FILE]`: measures, prints the table, keeps the records."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from linnet.errors import LinnetError
from linnet.results import Record, atomic_write, write_records

SUBJECTS = ("nuclei", "core", "readme")


def main(arguments: list[str] | None = None) -> int:
    """Runs one subject; gives the exit code."""
    asked = _parser().parse_args(arguments)
    try:
        if asked.subject == "core":
            return _measure_core(asked.quick, asked.json)
        return _readme() if asked.subject == "readme" else _measure(asked.quick, asked.json, asked.data)
    except LinnetError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2


def _measure(quick: bool, json: Path | None, data: Path | None) -> int:  # noqa: FBT001
    from benchmarks import nuclei
    from benchmarks.table import as_markdown

    records = nuclei.measure(quick=quick, data=data)
    print(as_markdown(records))
    return _keep(records, json)


def _measure_core(quick: bool, json: Path | None) -> int:  # noqa: FBT001
    from benchmarks import core

    records = core.measure(quick=quick)
    print(core.as_markdown(records))
    return _keep(records, json)


def _keep(records: list[Record], json: Path | None) -> int:
    if json is not None:
        json.parent.mkdir(parents=True, exist_ok=True)
        write_records(json, records)
        print(f"\nThe records are in {json}. Next: python -m benchmarks readme")
    else:
        print("\nNothing was kept. Next: the same with --json FILE")
    return 0


def _readme() -> int:
    from benchmarks import card, picture, readme

    changed = readme.refresh()
    print(f"{readme.README.name} {'was brought up to date' if changed else 'already says what the records say'}.")
    print(f"{atomic_write(card.PAGE, card.shipped_card())} was written from the weights.")
    print(f"{picture.draw()} was drawn.")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument(
        "subject",
        choices=SUBJECTS,
        help="nuclei, core: measure; readme: write what was measured into README.md and docs",
    )
    parser.add_argument("--quick", action="store_true", help="a few images and repetitions: does it run?")
    parser.add_argument("--json", type=Path, metavar="FILE", help="keep the records in this file, one a line")
    parser.add_argument("--data", type=Path, metavar="DIR", help="folder of the nucleus set (default: nuclei_dsb2018)")
    return parser


if __name__ == "__main__":
    sys.exit(main())
