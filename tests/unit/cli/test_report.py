"""`linnet report` on a file of records and on a run folder."""

import pytest

from linnet.cli.application import main
from linnet.results import Record, RunFolder, write_records


def test_a_file_of_records_gets_a_page_beside_it(tmp_path, capsys):
    records = write_records(tmp_path / "scores.jsonl", [Record("nuclei.f1", 0.875, n=3)])
    assert main(["report", str(records), "--title", "My <scores>"]) == 0
    page = tmp_path / "scores.report.html"
    assert f"Result: {page}" in capsys.readouterr().out
    html = page.read_text()
    assert "0.875" in html
    assert "My &lt;scores&gt;" in html


def test_a_run_folder_gets_its_page_inside(tmp_path):
    folder = RunFolder.create(tmp_path, "run")
    folder.record(Record("accuracy", 0.5, split="test"))
    assert main(["report", str(folder.path)]) == 0
    assert "accuracy" in (folder.path / "report.html").read_text()


def test_a_missing_source_is_one_clear_message(tmp_path, capsys):
    assert main(["report", str(tmp_path / "nowhere")]) == 2
    error = capsys.readouterr().err
    assert "nowhere" in error
    assert error.count("\n") == 1


@pytest.fixture(autouse=True)
def _quiet_figures():
    import matplotlib as mpl

    mpl.use("Agg")
