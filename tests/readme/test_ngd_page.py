"""The page of the paper on approximate Fisher information is what its records say."""

from papers.karakida2020_ngd.report import readme
from papers.karakida2020_ngd.run import HERE
from papers.study import finished_trials


def test_the_page_is_that_of_the_records():
    finished = finished_trials(HERE / "records" / "cpu.jsonl")
    assert (HERE / "README.md").read_text(encoding="utf-8") == readme.text(finished)
