"""A study is finished once and for all trials: after kills, with processes, within its minutes."""

import errno
import os
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from pathlib import Path

import pytest

from linnet.engine.trials.execution import carry_out
from linnet.engine.trials.trial import Trial, finished_trials
from linnet.errors import InputError, TrainingError
from linnet.results import Record, append_record, read_records
from tests.unit.engine.trials.countdown import SIZE, next_trials, run, run_or_die, run_or_fail

ROOT = Path(__file__).parents[4]
EXPECTED = {f"first number={number}": 2.0 * number for number in range(SIZE)}
EXPECTED |= {"second half=False of=30.0": 30.0, "second half=True of=30.0": 31.0}


def values(path):
    return {key: record.value for key, record in finished_trials(path).items()}


def test_a_key_does_not_depend_on_the_order_of_the_settings():
    assert (
        Trial("tune", {"lr": 0.1, "row": "a"}).key
        == Trial("tune", {"row": "a", "lr": 0.1}).key
        == "tune lr=0.1 row='a'"
    )
    assert Trial("tune", {"seed": 1}).key != Trial("tune", {"seed": 1.0}).key


def test_all_trials_are_done_in_order_and_a_second_call_does_nothing(tmp_path):
    path = tmp_path / "new" / "records.jsonl"
    first = carry_out(path, next_trials, run, workers=0)
    assert (first.done_now, list(first.left), values(path)) == (8, [], EXPECTED)
    assert [record.context["stage"] for record in read_records(path)] == ["first"] * 6 + ["second"] * 2
    assert read_records(path)[0].context == {"trial": "first number=0", "stage": "first", "number": 0, "wall_s": 0.05}
    again = carry_out(path, next_trials, run, workers=0)
    assert (again.done_now, len(again.finished)) == (0, 8)


def test_time_cuts_what_is_least_important_and_says_so(tmp_path):
    path = tmp_path / "records.jsonl"
    outcome = carry_out(path, next_trials, run, workers=0, minutes=0.12 / 60)
    assert 1 <= outcome.done_now < SIZE
    assert [trial.settings["number"] for trial in outcome.left] == list(range(outcome.done_now, SIZE))
    assert carry_out(path, next_trials, run, workers=0, minutes=0).done_now == 0
    carry_out(path, next_trials, run, workers=0)
    assert values(path) == EXPECTED


def test_a_half_written_line_is_done_again(tmp_path):
    path = tmp_path / "records.jsonl"
    carry_out(path, next_trials, run, workers=0)
    whole = path.read_bytes()
    path.write_bytes(whole[:-20])
    outcome = carry_out(path, next_trials, run, workers=0)
    assert outcome.done_now == 1
    assert values(path) == EXPECTED


def test_a_trial_that_is_there_twice_is_refused(tmp_path):
    path = tmp_path / "records.jsonl"
    for _ in range(2):
        append_record(path, Record("x", 1.0, context={"trial": "first number=0"}))
    with pytest.raises(InputError, match="`first number=0` is there twice"):
        carry_out(path, next_trials, run, workers=0)


def test_two_at_one_file_are_refused(tmp_path):
    pytest.importorskip("fcntl", reason="this system has no such lock")
    path = tmp_path / "records.jsonl"

    def other(trial):
        with pytest.raises(InputError, match="another process is at this study"):
            carry_out(path, next_trials, run, workers=0)
        return run(trial)

    carry_out(path, next_trials, other, workers=0)
    assert values(path) == EXPECTED


def test_a_worker_that_dies_is_told_and_the_next_call_goes_on(tmp_path):
    path = tmp_path / "records.jsonl"
    with pytest.raises(TrainingError, match=r"worker process died.*`first number=3`.*same command goes on"):
        carry_out(path, next_trials, run_or_die, workers=1)
    assert list(values(path)) == ["first number=0", "first number=1", "first number=2"]
    assert carry_out(path, next_trials, run, workers=0).done_now == 5
    assert values(path) == EXPECTED


def test_ctrl_c_says_what_is_kept_and_the_next_call_goes_on(tmp_path):
    path = tmp_path / "records.jsonl"

    def stopped(trial):
        if trial.settings.get("number") == 2:
            raise KeyboardInterrupt("Stopped after 3 of 9 updates; nothing was saved.")
        return run(trial)

    with pytest.raises(KeyboardInterrupt, match=r"^2 finished trials are kept in .*records\.jsonl\. Give the same"):
        carry_out(path, next_trials, stopped, workers=0)
    carry_out(path, next_trials, run, workers=0)
    assert values(path) == EXPECTED


def test_what_is_under_way_beside_a_failure_is_kept(tmp_path):
    path = tmp_path / "records.jsonl"
    with pytest.raises(ArithmeticError, match="planted"), ThreadPoolExecutor(2) as threads:
        carry_out(path, next_trials, run_or_fail, workers=2, pool=lambda: nullcontext(threads))
    assert set(values(path)) == {"first number=1"}


@pytest.mark.parametrize(("code", "told"), [(errno.ENOSPC, "the disk is full"), (errno.EACCES, "Permission denied")])
def test_a_record_that_cannot_be_written_is_told_and_nothing_is_lost(tmp_path, monkeypatch, code, told):
    path = tmp_path / "records.jsonl"
    carry_out(path, lambda finished: next_trials(finished)[:2], run, workers=0)

    def full(place, record):
        with place.open("ab") as file:
            file.write(record.to_json().encode()[:20])  # as much as there was room for
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr("linnet.engine.trials.execution.append_record", full)
    with pytest.raises(TrainingError, match=rf"`first number=2` can't be written \({told}\).*same command goes on"):
        carry_out(path, next_trials, run, workers=0)
    monkeypatch.undo()
    assert carry_out(path, next_trials, run, workers=0).done_now == 6
    assert values(path) == EXPECTED


def started(path, workers):
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT / "src"), str(ROOT)]), "OMP_NUM_THREADS": "1"}
    words = [sys.executable, "-m", "tests.unit.engine.trials.countdown", str(path), str(workers)]
    return subprocess.Popen(words, env=environment, stdout=subprocess.PIPE, text=True, cwd=ROOT)


@pytest.mark.slow
def test_killed_again_and_again_nothing_is_lost_or_counted_twice(tmp_path):
    path = tmp_path / "records.jsonl"
    before = 0
    for kill_at, workers in ((2, 0), (4, 2), (7, 0)):
        with started(path, workers) as process:
            for line in process.stdout:
                if int(line) >= kill_at:
                    process.send_signal(signal.SIGKILL)
                    break
        assert process.returncode == -signal.SIGKILL
        count = len(finished_trials(path))
        assert count >= max(kill_at, before)
        before = count
    with started(path, workers=0) as process:
        assert process.stdout.read().split()[-1] == "8"
    assert process.returncode == 0
    assert values(path) == EXPECTED
    assert len(read_records(path)) == len(EXPECTED)
