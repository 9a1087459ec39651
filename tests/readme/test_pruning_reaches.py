"""The page on what pruning reaches is that of the records."""

from benchmarks import RECORDS
from benchmarks.prune import page as prune_page
from linnet.results import read_records


def test_the_page_is_that_of_the_records():
    assert prune_page.PAGE.current() == prune_page.text()


def test_every_record_has_a_row():
    text = prune_page.PAGE.current()
    for record in read_records(RECORDS / "prune.jsonl"):
        assert str(record.context["what"]) in text
