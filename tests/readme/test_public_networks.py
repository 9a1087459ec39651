"""docs/public_networks.md: its table is that of the records, none of its networks came out wrong."""

from collections import Counter

from benchmarks import RECORDS
from benchmarks.zoo.page import PAGE, table
from linnet.results import Record, read_records


def test_the_page_says_what_the_records_say():
    assert PAGE.current() == PAGE.text()


def test_none_of_the_networks_is_wrong_and_none_refused_that_the_peer_prunes():
    found = read_records(RECORDS / "zoo.jsonl")
    assert len({(r.context["library"], r.context["network"]) for r in found}) == len(found) > 0
    assert Counter(r.context["verdict"] for r in found)["wrong"] == 0
    refused = {r.context["network"] for r in found if r.context["verdict"] == "refused"}
    assert not refused & {r.context["network"] for r in found if r.context["torch-pruning"] == "runs"}


def test_a_refusal_is_told_with_its_reason():
    context = {"library": "timm", "network": "net", "input": "3x64x64", "verdict": "refused", "words": "no | rule"}
    record = Record("zoo.graph", None, context={**context, "torch-pruning": "IndexError: 3"})
    assert table([record]).splitlines()[-1] == "| timm | net | 3x64x64 |  |  | refused: no / rule | IndexError: 3 |"
