"""`python -m benchmarks`: a part of a subject is measured alone, and the file's other records stay."""

import importlib
from dataclasses import replace

import pytest

from benchmarks.subject import Subject
from linnet.errors import InputError
from linnet.results import Record, read_records

command = importlib.import_module("benchmarks.__main__")


def subject(*, fast, small):
    return Subject(
        {"time": lambda *, quick: [Record("time", fast)], "memory": lambda *, quick: [Record("memory", small)]}
    )


def test_a_part_replaces_its_own_records_alone(tmp_path, capsys):
    file = tmp_path / "new" / "records.jsonl"
    assert command._measure(subject(fast=1.0, small=2.0), None, file, quick=True) == 0
    assert command._measure(subject(fast=3.0, small=4.0), "memory", file, quick=True) == 0
    assert {record.name: record.value for record in read_records(file)} == {"time": 1.0, "memory": 4.0}
    assert "Next: python -m benchmarks readme" in capsys.readouterr().out


def test_a_row_of_an_earlier_run_of_the_part_goes_with_its_name(tmp_path, capsys):
    file = tmp_path / "records.jsonl"
    measured = Record("target 2 ms", 1.0, command="python -m benchmarks x --only time --json f")
    other = replace(measured, name="bytes", command="python -m benchmarks x --only memory --json f")
    command._keep([measured, other], file)
    command._measure(subject(fast=3.0, small=4.0), "time", file, quick=True)
    assert [record.name for record in read_records(file)] == ["bytes", "time"]


def test_a_part_that_is_not_there_is_refused():
    with pytest.raises(InputError, match=r"time, memory \(got speed\)"):
        command._measure(subject(fast=1.0, small=1.0), "speed", None, quick=True)


def test_every_subject_is_found():
    for module in command.SUBJECTS.values():
        assert importlib.import_module(f"benchmarks.{module}").SUBJECT.parts
