"""Tables from records, and the README's part that is made from them."""

from dataclasses import replace

import pytest

from benchmarks.nuclei.tables import accuracy_table, cost_table
from benchmarks.page import markers
from benchmarks.readme import page, with_output
from linnet.errors import InputError
from linnet.results import Record, write_records

BEGIN, END = markers("records")
GROUP = {"group": "small_fluo", "mosaics": 7}
RECORDS = [
    Record(
        "nuclei.f1.small_fluo", 0.9512, n=20, interval=(0.9, 0.97), level=0.95, context=GROUP, command="python -m x"
    ),
    Record("nuclei.f1.small_fluo", 0.91, n=20, interval=(0.85, 0.95), level=0.95, method="log", context=GROUP),
    Record("nuclei.distance_mean_px.small_fluo", 1.234, context=GROUP),
    Record("nuclei.count_difference_mean.small_fluo", 2.04, context=GROUP),
    Record("nuclei.count_difference_mean.small_fluo", None, method="log", context=GROUP),
    Record("nuclei.speed_ratio.log.threads1", 0.61, interval=(0.55, 0.7), level=0.95, context={"threads": 1}),
    Record("nuclei.rate.threads1", 4.44, context={"beside": "log", "threads": 1}),
    Record("nuclei.rate.threads1", 7.25, method="log", context={"beside": "linnet", "threads": 1}),
    Record("nuclei.peak_memory", 412.3, unit="MB", context={"side_px": 10000}),
]


def test_accuracy_rows_show_both_methods_with_intervals():
    row = accuracy_table(RECORDS).splitlines()[-1]
    assert row == "| small_fluo | 20 (7) | 0.951 (0.900-0.970) | 0.910 (0.850-0.950) | 1.23 | 2.0, - |"


def test_cost_rows_show_the_ratio_with_its_rates():
    assert cost_table(RECORDS).splitlines()[2:] == [
        "| speed against single-scale LoG, 1 thread | 0.61 (0.55-0.70) x (4.4 against 7.2 MP/s) |",
        "| peak memory, 10000 x 10000 image in tiles | 412 MB |",
    ]


def test_a_cost_within_the_noise_shows_its_interval_and_no_minus_zero():
    record = Record("startup.import_linnet", -0.004, unit="s", n=7, interval=(-0.94, 0.14), level=0.95)
    assert cost_table([record]).splitlines()[-1].endswith("| 0.00 (-0.94 to 0.14) s |")


def test_the_readme_is_brought_up_to_date_once(tmp_path):
    readme, records = tmp_path / "README.md", write_records(tmp_path / "r.jsonl", RECORDS)
    pruned = "\n".join(markers("prune"))
    readme.write_text(f"before\n{BEGIN}\nold\n{END}\nafter\n{pruned}\n")
    whole = page(readme, records)
    tables = replace(whole, parts={name: part for name, part in whole.parts.items() if name not in ("padam", "jet")})
    assert tables.refresh()
    text = readme.read_text()
    assert text.startswith(f"before\n{BEGIN}\n| images |")
    assert f"{END}\nafter\n" in text
    assert "| multiply-accumulates |" in text
    assert "old" not in text
    assert not tables.refresh()


def test_a_readme_without_markers_is_refused(tmp_path):
    readme, records = tmp_path / "README.md", write_records(tmp_path / "r.jsonl", RECORDS)
    readme.write_text("no markers")
    with pytest.raises(InputError, match="records: begin"):
        page(readme, records).text()


def test_the_output_stands_below_the_code_that_printed_it():
    text = "a\n```python\nprint(6 * 7)\n```\n\n```text\n```\nb\n"
    wanted = "a\n```python\nprint(6 * 7)\n```\n\n```text\n42\n```\nb\n"
    assert with_output(text) == wanted
    assert with_output(wanted) == wanted
