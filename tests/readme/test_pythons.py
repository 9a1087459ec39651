"""Every Python that README names: `make test-all`, `make ... PYTHON=`, and the set-ups that they have left."""

import os
import re
import shutil
import subprocess
import sys
import tomllib

import pytest

from benchmarks import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
SUPPORTED = [kind.split(" :: ")[-1] for kind in PROJECT["classifiers"] if "Python :: 3." in kind]
# All modules, and what read differently on one of them: docstrings, versions, compiled networks.
TELLING = [
    "tests/unit/test_public_names.py",
    "tests/unit/recipe/test_parsing.py",
    "tests/unit/results/test_run_folder.py",
    "tests/unit/prune/training/test_compiled.py",
    "tests/unit/cli/test_application.py",
    "tests/readme/test_readme.py::test_the_pages_of_graphs_and_rules_are_up_to_date",
]


def make(*words, cwd=ROOT):
    """Runs make as if from a terminal: without the variables of the make that may run these tests."""
    own = ("MAKEFLAGS", "MFLAGS", "MAKEOVERRIDES", "MAKELEVEL", "PYTHON", "PYTHONS", "VENV")
    environment = {name: value for name, value in os.environ.items() if name not in own}
    return subprocess.run(["make", *words], cwd=cwd, env=environment, capture_output=True, text=True, check=False)


def script(path, *lines):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(["#!/bin/sh", *lines, ""]))
    path.chmod(0o755)
    return path


def test_all_files_name_the_same_pythons():
    assert PROJECT["requires-python"] == f">={SUPPORTED[0]}"
    assert re.search(r"^PYTHONS \?= (.*)$", (ROOT / "Makefile").read_text(), re.MULTILINE)[1].split() == [
        f"python{version}" for version in SUPPORTED
    ]
    assert f"Python {SUPPORTED[0]} to {SUPPORTED[-1]}" in (ROOT / "README.md").read_text()


def test_test_all_tests_with_each_python_that_is_there_and_names_the_others(tmp_path):
    calls, version = tmp_path / "calls", "{}.{}".format(*sys.version_info)
    instead = script(tmp_path / "make", f'echo "$@" >> {calls}')
    shim = script(tmp_path / "shim3.12", "echo 'pyenv: version not installed' >&2", "exit 127")
    run = make("test-all", f"PYTHONS=python3.99 {sys.executable} {shim}", f"MAKE={instead}")
    assert run.returncode == 0, run.stderr
    assert run.stdout.splitlines()[-3:] == [
        "python3.99: not there, skipped",
        f"{sys.executable}: passed",
        f"{shim}: not there, skipped",
    ]
    assert calls.read_text() == f"test PYTHON={sys.executable} VENV=.venv-{version}\n"


def test_test_all_goes_on_after_a_failure_and_fails(tmp_path):
    link, calls = tmp_path / "second", tmp_path / "calls"
    link.symlink_to(sys.executable)
    instead = script(tmp_path / "make", f"echo >> {calls}", f"[ $(wc -l < {calls}) = 2 ]")
    run = make("test-all", f"PYTHONS={sys.executable} {link}", f"MAKE={instead}")
    assert run.returncode != 0
    assert run.stdout.splitlines()[-2:] == [f"{sys.executable}: FAILED", f"{link}: passed"]


def test_test_all_without_any_python_fails():
    run = make("test-all", "PYTHONS=python3.99")
    assert run.returncode != 0
    assert "python3.99: not there, skipped" in run.stdout
    assert "None of these is there" in run.stderr


def test_a_set_up_is_not_used_for_another_python(tmp_path):
    for name in ("Makefile", "pyproject.toml", "constraints.txt"):
        shutil.copy(ROOT / name, tmp_path)
    script(tmp_path / ".venv" / "bin" / "python", "echo '3.11.7 (main, Jan 1 2026) [GCC]'")
    same = script(tmp_path / "same", "echo '3.11.7 (main, Jan 1 2026) [GCC]'")
    other = script(tmp_path / "other", "echo 3.12.1")
    assert make("same-python", cwd=tmp_path).returncode == 0
    assert make("same-python", f"PYTHON={same}", cwd=tmp_path).returncode == 0
    run = make("test", f"PYTHON={other}", cwd=tmp_path)
    assert run.returncode != 0
    assert f".venv was made with Python 3.11.7, and PYTHON={other} is 3.12.1" in run.stderr
    assert "VENV=.venv-3.12.1" in run.stderr


def test_a_python_that_is_named_and_does_not_run_is_not_replaced_by_another(tmp_path):
    shutil.copy(ROOT / "Makefile", tmp_path)
    run = make(".venv/bin/python", "PYTHON=python3.99", cwd=tmp_path)
    assert run.returncode != 0
    assert "none was found as: python3.99." in run.stderr
    assert not (tmp_path / ".venv").exists()


def test_the_release_of_torch_that_readme_looks_up_is_one_line():
    assert "$(grep '^torch==' constraints.txt)" in (ROOT / "README.md").read_text()
    [line] = [line for line in (ROOT / "constraints.txt").read_text().splitlines() if line.startswith("torch==")]
    assert re.fullmatch(r"torch==\d+\.\d+\.\d+", line)


def test_the_telling_tests_exist():
    assert [words for words in TELLING if not (ROOT / words.partition("::")[0]).is_file()] == []


@pytest.mark.slow
@pytest.mark.parametrize("version", [v for v in SUPPORTED if v != "{}.{}".format(*sys.version_info)])
def test_the_telling_tests_pass_with_the_other_pythons_that_are_set_up(version):
    folder = ROOT / f".venv-{version}"
    if not (folder / ".installed-dev").exists():
        pytest.skip(f"{folder.name} is not set up; `make test-all` makes it where python{version} is there")
    words = [folder / "bin" / "python", "-m", "pytest", "-p", "no:cacheprovider", "-m", "not slow", *TELLING]
    run = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stdout
