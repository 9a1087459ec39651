"""docs/spectra.md says what the records of the benchmark say."""

from benchmarks.spectra.page import PAGE


def test_the_page_says_what_the_records_say():
    assert PAGE.current() == PAGE.text()
