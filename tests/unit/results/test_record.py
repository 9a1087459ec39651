import json
import logging
import math

import pytest

from linnet.errors import InputError
from linnet.results import Record, append_record, read_records, write_records

FULL = Record(
    "nuclei.f1",
    0.1 + 0.2,
    unit="",
    n=7,
    interval=(0.25, 0.35),
    level=0.95,
    rng_seed=0,
    split="test",
    method="blob_log",
    context={"radius_px": 5, "group": 'a "b"\n', "tuned": False},
    command="python -m benchmarks nuclei",
    commit="abc",
    machine="Linux",
    versions={"torch": "2"},
    time="2026-01-01T00:00:00+00:00",
)


def test_a_record_is_one_line_and_comes_back_equal():
    line = FULL.to_json()
    assert "\n" not in line
    assert Record.from_json(line) == FULL
    assert json.loads(line)["value"] == 0.30000000000000004
    assert json.loads(line)["rng_seed"] == 0


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, None])
def test_a_value_that_is_no_number_becomes_null(value):
    record = Record("x", value, context={"sd": math.nan})
    assert json.loads(record.to_json()) == {"name": "x", "value": None, "method": "linnet", "context": {"sd": None}}
    assert Record.from_json(record.to_json()).value is None


@pytest.mark.parametrize(
    ("facts", "match"),
    [
        ({"name": ""}, "name"),
        ({"interval": (2.0, 1.0), "level": 0.95}, r"interval.*\(2\.0, 1\.0\)"),
        ({"interval": (1.0, 2.0)}, "level.*None"),
        ({"interval": (1.0, 2.0), "level": 95}, r"level.*\b95\b"),
    ],
)
def test_a_record_that_says_nothing_is_refused(facts, match):
    with pytest.raises(InputError, match=match):
        Record(**({"name": "x", "value": 1.0} | facts))


@pytest.mark.parametrize(
    "line",
    [
        "",
        "{",
        "[]",
        "3",
        '{"value": 1}',
        '{"name": 3}',
        '{"name": "x", "value": "high"}',
        '{"name": "x", "interval": 3}',
    ],
)
def test_a_line_that_is_no_record_is_refused(line):
    with pytest.raises(InputError):
        Record.from_json(line)


def test_unknown_keys_of_a_later_version_are_left_out():
    assert Record.from_json('{"name": "x", "value": 1, "later": 2}') == Record("x", 1.0)


def test_measured_fills_in_where_and_when():
    record = Record.measured("x", 1, commit="given")
    assert record.value == 1.0
    assert record.commit == "given"
    assert record.versions["torch"]
    assert record.command
    assert record.time.endswith("+00:00")


def test_records_are_written_appended_and_read(tmp_path):
    path = write_records(tmp_path / "r.jsonl", [FULL])
    append_record(path, Record("y", 2.0))
    append_record(tmp_path / "new.jsonl", FULL)
    assert read_records(path) == [FULL, Record("y", 2.0)]
    assert read_records(tmp_path / "new.jsonl") == [FULL]


def test_a_half_written_last_line_is_left_out_and_cut_off(tmp_path, caplog):
    path = write_records(tmp_path / "r.jsonl", [FULL])
    whole = path.read_bytes()
    path.write_bytes(whole + '{"name": "µ'.encode()[:-1])
    with caplog.at_level(logging.WARNING):
        assert read_records(path) == [FULL]
    assert str(path) in caplog.text
    append_record(path, Record("y", 2.0))
    assert path.read_bytes() == whole + b'{"name": "y", "value": 2.0, "method": "linnet"}\n'


def test_a_whole_last_line_without_newline_is_kept(tmp_path):
    path = tmp_path / "r.jsonl"
    path.write_text(FULL.to_json())
    append_record(path, Record("y", 2.0))
    assert read_records(path) == [FULL, Record("y", 2.0)]


def test_a_broken_line_in_the_middle_is_named(tmp_path):
    path = tmp_path / "r.jsonl"
    path.write_text(FULL.to_json() + "\nbroken\n" + FULL.to_json() + "\n")
    with pytest.raises(InputError, match="line 2"):
        read_records(path)


def test_a_missing_file_is_an_input_error(tmp_path):
    with pytest.raises(InputError, match=r"no\.jsonl"):
        read_records(tmp_path / "no.jsonl")
