from benchmarks import RECORDS
from benchmarks.nuclei import reach_page
from linnet.results import read_records


def test_the_page_says_what_the_records_say():
    assert reach_page.PAGE.current() == reach_page.PAGE.text()
    assert "| 1.00 |" in reach_page.PAGE.current()
    assert "never seen" in reach_page.PAGE.current()


def test_teaching_tissue_costs_fluorescence_at_most_a_hundredth():
    f1 = {record.name: record.value for record in read_records(RECORDS / "nuclei_teaching.jsonl")}
    assert f1["nuclei.teaching.fluorescence.after"] >= f1["nuclei.teaching.fluorescence.before"] - 0.01
