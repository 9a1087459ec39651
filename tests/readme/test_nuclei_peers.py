import json

from benchmarks import RECORDS
from benchmarks.nuclei.rivals import page


def test_the_page_says_what_the_records_say():
    assert page.PAGE.current() == page.PAGE.text()
    assert "StarDist" in page.PAGE.current()


def test_the_page_points_at_what_has_not_run_only_where_something_has_not(tmp_path):
    pointer = "what hasn't run yet is named below the tables"
    assert pointer not in page.page_text()
    lines = (RECORDS / "nuclei_peers.jsonl").read_text().splitlines()
    fewer = [line for line in lines if json.loads(line).get("method") != "spotiflow.x1"]
    (tmp_path / "nuclei_peers.jsonl").write_text("\n".join(fewer) + "\n")
    text = page.page_text(tmp_path)
    assert pointer in text
    assert "Not here:" in text
