"""`python -m benchmarks SUBJECT [--quick] [--json FILE]`: measures, prints the table, keeps the records."""

from __future__ import annotations

import argparse
import sys
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.zoo.networks import LIBRARIES
from linnet.errors import InputError, LinnetError
from linnet.results import Record, read_records, write_records

if TYPE_CHECKING:
    from benchmarks.subject import Subject

# name -> the module here that has `SUBJECT`
SUBJECTS = {
    "nuclei": "nuclei.subject",
    "nuclei_scale": "nuclei.scale",
    "nuclei_outside": "nuclei.outside",
    "nuclei_flags": "nuclei.flags",
    "nuclei_teaching": "nuclei.teaching",
    "nuclei_ablation": "nuclei.ablation",
    "core": "core.subject",
    "core_training": "core.training",
    "padam": "padam.subject",
    "natural": "natural.subject",
    "prune": "prune.subject",
    "ensemble": "ensemble.subject",
    "spectra": "spectra.subject",
    "jet": "jet.subject",
}


def main(arguments: list[str] | None = None) -> int:
    """Runs one subject; gives the exit code."""
    asked = _parser().parse_args(arguments)
    try:
        if asked.subject == "readme":
            return _readme()
        libraries = [name for name in LIBRARIES if getattr(asked, name)]
        if asked.subject == "zoo":
            return _public_networks(libraries, asked.json, asked.minutes, again=asked.again)
        if libraries or asked.minutes is not None or asked.again:
            raise InputError(f"`--timm` and the like belong to the subject zoo (got {asked.subject}); leave them out.")
        if asked.zoo and asked.subject != "core":
            raise InputError(f"`--zoo` belongs to the subject core (got {asked.subject}); leave it out.")
        if asked.peers and asked.subject != "nuclei":
            raise InputError(f"`--peers` belongs to the subject nuclei (got {asked.subject}); leave it out.")
        module = "core.zoo" if asked.zoo else "nuclei.rivals.subject" if asked.peers else SUBJECTS[asked.subject]
        return _measure(import_module(f"benchmarks.{module}").SUBJECT, asked.only, asked.json, quick=asked.quick)
    except LinnetError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2


def _public_networks(libraries: list[str], json: Path | None, minutes: float | None, *, again: bool) -> int:
    """Halves the networks of other libraries; gives the exit code."""
    from benchmarks.zoo.command import run
    from benchmarks.zoo.page import table

    if not libraries:
        raise InputError(f"`zoo` must be told which libraries: --{', --'.join(LIBRARIES)} (got none).")
    records = run(libraries, json, minutes=minutes, again=again)
    print(table(records))
    return _keep(records, json)


def _measure(subject: Subject, part: str | None, json: Path | None, *, quick: bool) -> int:
    """Measures a subject, or one part of it; then the other records of the file stay."""
    if part is not None and part not in subject.parts:
        raise InputError(f"`--only` must be one of {', '.join(subject.parts)} (got {part}).")
    records = subject.measure(quick=quick, only=part)
    print(subject.as_markdown(records))
    if part is None or json is None or not json.exists():
        return _keep(records, json)
    # a row whose name holds a measured target has another name in each run: those of an earlier run go
    old = {_key(record): record for record in read_records(json) if f"--only {part} " not in f"{record.command} "}
    return _keep(list((old | {_key(record): record for record in records}).values()), json)


def _key(record: Record) -> tuple[str, str, str, str]:
    """What tells a record from the others of its file: several methods, peers and goals share a name."""
    return record.name, record.method, str(record.context.get("beside", "")), str(record.context.get("goal", ""))


def _keep(records: list[Record], json: Path | None) -> int:
    if json is not None:
        json.parent.mkdir(parents=True, exist_ok=True)
        write_records(json, records)
        print(f"\nThe records are in {json}. Next: python -m benchmarks readme")
    else:
        print("\nNothing was kept. Next: the same with --json FILE")
    return 0


def _readme() -> int:
    """Writes every page and draws every picture that is made from records."""
    from benchmarks import readme
    from benchmarks.core import graph_pages, proofs
    from benchmarks.ensemble import corruptions
    from benchmarks.ensemble import page as ensemble
    from benchmarks.jet import page as jet
    from benchmarks.jet import picture as family
    from benchmarks.natural import page as natural
    from benchmarks.nuclei import card, picture, reach_page
    from benchmarks.nuclei.rivals import page as rivals
    from benchmarks.padam import page as padam
    from benchmarks.prune import page as prune
    from benchmarks.prune import picture as pruned
    from benchmarks.spectra import page as spectra
    from benchmarks.zoo import page as zoo

    pages = [
        readme.page(),
        padam.docs_page(),
        padam.paper_page(),
        card.PAGE,
        reach_page.PAGE,
        rivals.PAGE,
        proofs.PAGE,
        prune.PAGE,
        natural.PAGE,
        zoo.PAGE,
    ]
    for page in [
        *pages,
        ensemble.PAGE,
        jet.PAGE,
        jet.HARDWARE_PAGE,
        spectra.PAGE,
        graph_pages.GRAPHS,
        graph_pages.RULE_LIST,
    ]:
        print(f"{page.path} {'was brought up to date' if page.refresh() else 'already says what the records say'}.")
    for path in [*padam.draw(), picture.draw(), *pruned.draw(), corruptions.draw(), family.draw()]:
        print(f"{path} was drawn.")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument(
        "subject",
        choices=(*SUBJECTS, "zoo", "readme"),
        help=f"{', '.join(SUBJECTS)}: measure; zoo: halve public networks; readme: write what was measured into README"
        " and docs",
    )
    parser.add_argument("--quick", action="store_true", help="a few images and repetitions: does it run?")
    parser.add_argument("--zoo", action="store_true", help="core: every zoo network, edited at random, with its error")
    parser.add_argument(
        "--peers",
        action="store_true",
        help="nuclei: StarDist and Spotiflow, trained beside linnet in their environments",
    )
    for name in LIBRARIES:
        parser.add_argument(f"--{name}", action="store_true", help=f"zoo: the networks of {LIBRARIES[name]}")
    parser.add_argument("--minutes", type=float, help="zoo: stop after so long; the next run goes on")
    again = "zoo: measure again what wasn't right, or took too long"
    parser.add_argument("--again", action="store_true", help=again)
    parser.add_argument("--only", metavar="PART", help="this part of the subject alone")
    parser.add_argument("--json", type=Path, metavar="FILE", help="keep the records in this file, one a line")
    return parser


if __name__ == "__main__":
    sys.exit(main())
