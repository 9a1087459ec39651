import json
import os
import platform
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest
import torch
from packaging.version import Version

import linnet.results
from linnet.errors import InputError
from linnet.results import Record, RunFolder, command, commit, environment


def test_a_new_run_states_its_facts_and_keeps_records(tmp_path):
    run = RunFolder.create(tmp_path / "runs", "digits", rng_seeds={"train": 3}, facts={"recipe": "digits.toml"})
    facts = json.loads((run.path / "run.json").read_text())
    assert facts["name"] == "digits"
    assert facts["rng_seeds"] == {"train": 3}
    assert facts["recipe"] == "digits.toml"
    assert facts["versions"]["torch"] == metadata.version("torch")
    # Some packages of torch leave out the build tag that torch itself states: 2.13.0 and 2.13.0+cu130.
    assert Version(facts["versions"]["torch"]).public == Version(torch.__version__).public
    assert facts["commit"] == commit()
    assert run.records() == []
    run.record(Record("a", 1.0))
    run.record(Record("b", 2.0))
    assert [record.name for record in RunFolder.open(run.path).records()] == ["a", "b"]
    assert RunFolder.open(run.path).facts == facts


def test_a_taken_name_gets_a_number_and_an_empty_folder_is_used(tmp_path):
    (tmp_path / "a").mkdir()
    names = [RunFolder.create(tmp_path, "a").path.name for _ in range(3)]
    assert names == ["a", "a-2", "a-3"]


@pytest.mark.parametrize("name", ["", ".", "..", "a/b"])
def test_a_name_with_a_path_in_it_is_refused(tmp_path, name):
    with pytest.raises(InputError, match="name"):
        RunFolder.create(tmp_path, name)


def test_a_folder_that_is_no_run_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"run\.json"):
        RunFolder.open(tmp_path)


def test_the_environment_is_told_without_host_or_path():
    here = environment()
    assert here["versions"]["python"] == sys.version.split()[0]
    assert here["threads"] == torch.get_num_threads()
    assert "/" not in here["machine"]
    assert platform.node() not in json.dumps([here, commit()]).replace('"', " ").split()


def test_the_command_is_what_one_types(monkeypatch):
    monkeypatch.setattr(sys, "orig_argv", ["/somewhere/bin/python3.11", "-m", "benchmarks", "nuclei", "--out", "a b"])
    assert command() == "python -m benchmarks nuclei --out 'a b'"
    script = sys.executable.rsplit("/", 1)[0] + "/linnet"
    monkeypatch.setattr(sys, "orig_argv", [sys.executable, script, "demo"])
    assert command() == "linnet demo"


def test_reading_records_needs_no_torch():
    code = "import sys, linnet.results; sys.exit('torch' in sys.modules)"
    source = Path(linnet.results.__file__).parents[2]
    assert subprocess.run([sys.executable, "-c", code], env=os.environ | {"PYTHONPATH": str(source)}).returncode == 0
