"""The page on what pruning reaches is that of the records."""

from benchmarks import prune_page
from linnet.results import read_records


def test_the_page_is_that_of_the_records():
    assert prune_page.PAGE.read_text(encoding="utf-8") == prune_page.page()


def test_every_record_has_a_row():
    text = prune_page.PAGE.read_text(encoding="utf-8")
    for record in read_records(prune_page.RECORDS):
        assert str(record.context["what"]) in text
