"""A pruned network's sections: five pictures from records, each with its table."""

import re
from dataclasses import replace

import pytest

from linnet.errors import BudgetError
from linnet.prune.training.history import MaskLife
from linnet.report import record_sections, write_report
from linnet.report.marks import marks_of, words
from linnet.report.pruned import pruned_sections
from linnet.results import Record, share_interval, write_records
from tests.unit.report.test_html_page import assert_self_contained

LAYERS = {
    "stem": (16, 8, 1000, 400, ""),
    "block.<1>": (32, 8, 3000, 500, ""),
    "head": (2, 2, 64, 16, "it's `out<put>`"),
}
CLASSES = {"cat": (0.9, 0.8), "$dog$": (0.8, 0.9), "<b>": (0.95, 0.6)}


def share(name, value, method, **context):
    n = 100
    return Record(
        name, value, n=n, interval=share_interval(round(value * n), n), level=0.95, method=method, split="test",
        context=context,
    )  # fmt: skip


def records():
    found = []
    for layer, (before, after, macs, macs_after, why) in LAYERS.items():
        for method, channels, made in (("dense", before, macs), ("pruned", after, macs_after)):
            context = {"layer": layer} | ({"whole because": why} if why else {})
            found.append(Record("channels of layer", channels, method=method, context=context))
            found.append(Record("macs of layer", made, method=method, context={"layer": layer}))
    for name, before, after in (("macs", 4064, 916), ("params", 900, 90), ("bytes", 4000, 500)):
        found += [Record(name, before, method="dense"), Record(name, after, method="pruned")]
    timed = {"runtime": "torch", "threads": 1}
    for method, ms in (("dense", 2.0), ("pruned", 0.5), ("uniform", 0.6)):
        found.append(
            Record("ms p50", ms, unit="ms", interval=(ms * 0.9, ms * 1.1), level=0.95, method=method, context=timed)
        )
    for method, accuracy in (("dense", 0.91), ("pruned", 0.87), ("uniform", 0.8)):
        found.append(share("accuracy", accuracy, method))
    for name, (before, after) in CLASSES.items():
        found += [share("accuracy in class", value, method, **{"class": name})
                  for method, value in (("dense", before), ("pruned", after))]  # fmt: skip
    for method in ("dense", "pruned"):
        found.append(Record("ece", 0.05 if method == "dense" else 0.02, method=method, split="test"))
        found += [share("reliability", 0.5 + b / 8, method, bin=b, confidence=0.5 + b / 9) for b in range(4)]
    context = {"limit": "macs", "at most": 1000, "the rest": "`stem` from 8 to 16, takes 300"}
    found.append(Record("budget used", 0.916, method="pruned", context=context))
    found.append(Record("mask changes", 12, method="pruned", context={"steps": 90}))
    return found


LIFE = MaskLife(
    ("stem", "block.<1>"), [3, 20, 45], [[16, 8], [8, 16], [8, 8]], [{"macs": 0.9}, {"macs": 1.0}, {"macs": 0.916}]
)


@pytest.fixture(scope="module")
def sections():
    return {section.title: "".join(map(str, section.body)) for section in record_sections(records(), LIFE)}


def test_there_are_five_pictures_each_with_its_table(sections):
    assert list(sections) == [
        "What it costs", "Layers", "Accuracy for its time", "Life of the masks", "Classes", "Results", "Calibration",
    ]  # fmt: skip
    for title in ("Layers", "Accuracy for its time", "Life of the masks", "Classes", "Calibration"):
        assert sections[title].count("<svg") == 1, title
        assert sections[title].count("<table") == 1, title
        assert 'role="img" aria-label="' in sections[title], title


def test_costs_are_told_before_and_after_with_what_the_budget_left(sections):
    costs = sections["What it costs"]
    assert re.search(r"multiply-accumulates kept</dt><dd>22\.5%", costs)
    assert re.search(r"faster, measured</dt><dd>4\.00 x", costs)
    assert re.search(r"points beside the dense network</dt><dd>-4\.00", costs)
    assert "time of torch, 1 CPU thread" in costs
    assert re.search(r"91\.60%.*<code>stem</code> from 8 to 16, takes 300", costs)


def test_layers_have_channels_and_their_share_of_macs(sections):
    layers = sections["Layers"]
    assert "Channels of each layer, dense to pruned: stem 16 to 8; block.&lt;1&gt; 32 to 8; head 2 to 2" in layers
    row = layers[layers.index('<th scope="row">block.&lt;1&gt;') :]
    cells = re.findall(r">([^<>]+)<", row[: row.index("</tr>")])
    assert cells == ["block.&lt;1&gt;", "32", "8", "73.8%", "54.6%", "500"]
    assert "it&#39;s <code>out&lt;put&gt;</code>" in layers


def test_rivals_stand_in_the_picture_of_accuracy_for_time(sections):
    picture = sections["Accuracy for its time"]
    assert "dense 0.910 at 2 ms; pruned 0.870 at 0.500 ms; uniform 0.800 at 0.600 ms" in picture
    assert picture.count('<th scope="row">') == 3
    assert "[0.450, 0.550]" in picture


def test_the_life_of_the_masks_has_the_budget_line_and_the_last_step(sections):
    life = sections["Life of the masks"]
    assert "over 90 training steps: stem 16 to 8; block.&lt;1&gt; 32 to 8" in life
    assert ">budget</text>" in life
    cells = re.findall(r"<td[^>]*>([^<]+)</td>", life)
    assert cells == ["16", "16", "8", "16", "8", "32", "8", "8", "16", "8"]


def test_classes_are_sorted_by_what_they_lost(sections):
    classes = sections["Classes"]
    told = re.search(r'aria-label="([^"]*)"', classes)[1]
    assert "largest loss first: &lt;b&gt; 0.950 to 0.600; cat 0.900 to 0.800; $dog$ 0.800 to 0.900" in told
    assert re.findall(r'<th scope="row">([^<]*)</th>', classes) == ["&lt;b&gt;", "cat", "$dog$"]
    assert "-35.0" in classes
    assert "+10.0" in classes
    assert "<b>" not in classes


def test_calibration_is_told_for_each_method(sections):
    calibration = sections["Calibration"]
    assert "pruned: expected calibration error 0.0200" in calibration
    assert "dense: expected calibration error 0.0500" in calibration
    assert calibration.count('<th scope="row">') == 4


def test_without_the_dense_network_its_before_is_not_drawn():
    def known(record):
        return record.method != "dense" or record.name in ("channels of layer", "macs of layer", "macs", "ms p50")

    titles = {s.title: "".join(map(str, s.body)) for s in pruned_sections([r for r in records() if known(r)])}
    assert "Life of the masks" not in titles
    assert "compare = &#34;dense&#34;" in titles["Classes"]
    assert titles["Classes"].index("&lt;b&gt;") < titles["Classes"].index("cat")
    assert "beside the dense network" not in titles["What it costs"]


def test_records_of_no_pruned_network_have_no_such_sections():
    assert pruned_sections([share("accuracy", 0.9, "linnet")]) == []
    plain = [
        replace(r, method="linnet") for r in records() if r.name in ("accuracy", "reliability") and r.method == "dense"
    ]
    assert [section.title for section in record_sections(plain)] == ["Results", "Calibration"]


def test_many_layers_become_rows_of_colour():
    names = tuple(f"layer{number}" for number in range(9))
    life = MaskLife(names, [1, 5], [[8] * 9, [4] * 9], [{"macs": 0.5}, {"macs": 0.9}])
    dense = dict.fromkeys(names, (8, 4, 10, 5, ""))
    found = [Record(name, value, method=method, context={"layer": layer})
             for layer, row in dense.items()
             for method, channels, macs in (("dense", row[0], row[2]), ("pruned", row[1], row[3]))
             for name, value in (("channels of layer", channels), ("macs of layer", macs))]  # fmt: skip
    [life_section] = [s for s in pruned_sections(found, life) if s.title == "Life of the masks"]
    assert "share of channels in use" in str(life_section.body[0])


def test_a_run_folder_gives_one_page_that_needs_nothing_else(tmp_path):
    write_records(tmp_path / "record.jsonl", records())
    (tmp_path / "life.json").write_text(LIFE.to_json())
    html = write_report(tmp_path, tmp_path / "report.html").read_text(encoding="utf-8")
    assert_self_contained(html)
    assert "Life of the masks" in html
    (tmp_path / "life.json").write_text("{}")
    with pytest.raises(BudgetError, match="MaskLife"):
        write_report(tmp_path, tmp_path / "report.html")


def test_methods_are_told_apart_by_more_than_colour():
    marks = marks_of(["dense", "pruned", "uniform", "one-shot"])
    assert len({mark.color for mark in marks.values()}) == 4
    assert len({mark.sign for mark in marks.values()}) == 4
    assert not marks["dense"].filled
    assert words("a$b") == r"a\$b"
    assert len(words("x" * 99)) == 34
