"""`python -m benchmarks SUBJECT [--quick] [--json FILE]`: measures, prints the table, keeps the records."""

from __future__ import annotations

import argparse
import sys
from importlib import import_module
from pathlib import Path

from linnet.errors import InputError, LinnetError
from linnet.results import Record, atomic_write, read_records, write_records

# each a file here with `measure(*, quick)` and `as_markdown(records)`
SUBJECTS = ("nuclei", "core", "core_training", "padam", "natural", "prune")
PARTED = ("core", "prune")  # those with `PARTS`, each of which is measured alone by --only


def main(arguments: list[str] | None = None) -> int:
    """Runs one subject; gives the exit code."""
    asked = _parser().parse_args(arguments)
    try:
        if asked.subject == "readme":
            return _readme()
        if asked.zoo and asked.subject != "core":
            raise InputError(f"--zoo belongs to the subject core; {asked.subject} was asked.")
        if asked.only:
            return _part(asked.subject, asked.only, asked.json, quick=asked.quick)
        return _measure("core_zoo" if asked.zoo else asked.subject, asked.json, quick=asked.quick)
    except LinnetError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2


def _measure(name: str, json: Path | None, *, quick: bool) -> int:
    subject = import_module(f"benchmarks.{name}")
    records = subject.measure(quick=quick)
    print(subject.as_markdown(records))
    return _keep(records, json)


def _part(name: str, part: str, json: Path | None, *, quick: bool) -> int:
    """One part of a subject; the file's other records stay."""
    if name not in PARTED:
        raise InputError(f"--only belongs to the subjects {' and '.join(PARTED)}; {name} was asked.")
    subject = import_module(f"benchmarks.{name}")
    if part not in subject.PARTS:
        raise InputError(f"{name} has no part `{part}`; it has: {', '.join(subject.PARTS)}.")
    records = subject.measure(quick=quick, only=part)
    print(subject.as_markdown(records))
    new = {record.name: record for record in records}
    before = read_records(json) if json is not None and json.exists() else []
    # a row whose name holds a measured target has another name in each run: those of an earlier run go
    old = {record.name: record for record in before if f"--only {part} " not in f"{record.command} "}
    return _keep(list((old | new).values()), json)


def _keep(records: list[Record], json: Path | None) -> int:
    if json is not None:
        json.parent.mkdir(parents=True, exist_ok=True)
        write_records(json, records)
        print(f"\nThe records are in {json}. Next: python -m benchmarks readme")
    else:
        print("\nNothing was kept. Next: the same with --json FILE")
    return 0


def _readme() -> int:
    from benchmarks import card, graphs, natural_page, padam_page, picture, proofs, prune_page, pruned_picture, readme

    for path in padam_page.refresh():
        print(f"{path} says what the records of Padam say.")
    changed = readme.refresh()
    print(f"{readme.README.name} {'was brought up to date' if changed else 'already says what the records say'}.")
    print(f"{atomic_write(card.PAGE, card.shipped_card())} was written from the weights.")
    print(f"{atomic_write(proofs.PAGE, proofs.page())} was written from the records of core.")
    print(f"{atomic_write(prune_page.PAGE, prune_page.page())} was written from the records of prune.")
    print(f"{atomic_write(natural_page.PAGE, natural_page.page())} was written from the records of natural.")
    print(f"{picture.draw()} was drawn.")
    print(f"{' and '.join(map(str, pruned_picture.draw()))} were drawn.")
    print(f"{' and '.join(map(str, graphs.write()))} were written from the rules and the networks.")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument(
        "subject",
        choices=(*SUBJECTS, "readme"),
        help=f"{', '.join(SUBJECTS)}: measure; readme: write what was measured into README.md and docs",
    )
    parser.add_argument("--quick", action="store_true", help="a few images and repetitions: does it run?")
    parser.add_argument("--zoo", action="store_true", help="core: every zoo network, edited at random, with its error")
    parser.add_argument("--only", metavar="PART", help="core and prune: this part alone")
    parser.add_argument("--json", type=Path, metavar="FILE", help="keep the records in this file, one a line")
    return parser


if __name__ == "__main__":
    sys.exit(main())
