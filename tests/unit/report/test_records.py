import json

import pytest

from linnet.errors import DataError
from linnet.report import record_sections, write_report
from linnet.results import Record, write_records


def records():
    return [
        Record(
            "f1", 0.9, n=50, interval=(0.8, 0.95), level=0.95, split="test", context={"group": "a<b", "radius_px": 5}
        ),
        Record("f1", 0.6, n=50, split="test", method="LoG", context={"group": "a<b", "radius_px": 5}, rng_seed=3),
        Record(
            "f1", None, n=0, split="test", context={"group": "empty", "radius_px": 5}, time="2026-01-02T03:04:05+00:00"
        ),
        *(Record("loss", 1 / (e + 1), split="train", context={"epoch": e}) for e in range(3)),
        *(Record("loss", 2 / (e + 1), split="val", context={"epoch": e}) for e in range(3)),
    ]


def test_rivals_stand_side_by_side_and_what_is_common_is_no_column():
    results, _ = record_sections(records())
    html = str(results.body[0])
    assert '<th scope="col">what</th><th scope="col">group</th><th scope="col" class="number">linnet</th>' in html
    assert "radius_px" not in html
    row = html[html.index("a&lt;b") : html.index("empty")]
    assert row.index("0.9000") < row.index("0.6000")
    assert "[0.800, 0.950]" in row
    assert "intervals at level 0.95" in html


def test_records_over_epochs_become_one_chart_with_a_line_per_split():
    _, training = record_sections(records())
    assert len(training.body) == 1
    assert "last value: train 0.3333, val 0.6667" in training.body[0]
    assert ">train</text>" in training.body[0]


def test_no_records_say_so():
    (section,) = record_sections([])
    assert "no records yet" in section.body[0]


def test_a_folder_and_its_records_give_the_same_results(tmp_path):
    folder = tmp_path / "run <1>"
    folder.mkdir()
    write_records(folder / "record.jsonl", records())
    (folder / "run.json").write_text(json.dumps({"command": ["linnet", "run", "a<b.toml"]}))
    html = write_report(folder, tmp_path / "a.html").read_text()
    assert "<h1>run &lt;1&gt;</h1>" in html
    assert "linnet run a&lt;b.toml" in html
    assert "<dt>Random seeds</dt><dd>3</dd>" in html
    assert "2026-01-02T03:04:05+00:00" in html
    direct = write_report(records(), tmp_path / "b.html", title="run <1>").read_text()
    assert html.replace("<dt>Command</dt><dd><code>linnet run a&lt;b.toml</code></dd>\n", "") == direct
    assert write_report(folder / "record.jsonl", tmp_path / "c.html", title="run <1>").read_text() == html


def test_reproducible_drops_the_date_only(tmp_path):
    dated = write_report(records(), tmp_path / "a.html").read_text()
    undated = write_report(records(), tmp_path / "b.html", reproducible=True).read_text()
    date = "2026-01-02T03:04:05+00:00"
    assert dated.replace(f' on <time datetime="{date}">{date}</time>', "") == undated


@pytest.mark.parametrize("name", ["", "absent", "empty"])
def test_a_place_without_records_is_named(tmp_path, name):
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match=r"record\.jsonl"):
        write_report(tmp_path / name, tmp_path / "x.html")
    assert not (tmp_path / "x.html").exists()
