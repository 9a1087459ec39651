"""The command that is offered at the end can be typed as it stands."""

import sys

import pytest

from linnet.cli.next_step import runnable


@pytest.fixture
def unknown_name(monkeypatch):
    monkeypatch.setattr("linnet.cli.next_step.shutil.which", lambda name: None)


@pytest.mark.usefixtures("unknown_name")
def test_the_running_program_stands_for_a_name_that_is_not_found(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", [str(tmp_path / ".venv" / "bin" / "linnet")])
    assert runnable("linnet nuclei detect a.tif") == ".venv/bin/linnet nuclei detect a.tif"
    monkeypatch.setattr(sys, "argv", ["/opt/linnet/bin/linnet"])
    assert runnable("linnet demo") == "/opt/linnet/bin/linnet demo"


def test_a_name_that_is_found_stays(monkeypatch):
    monkeypatch.setattr("linnet.cli.next_step.shutil.which", lambda name: "/usr/bin/linnet")
    assert runnable("linnet demo") == "linnet demo"


@pytest.mark.usefixtures("unknown_name")
def test_words_and_other_programs_stay(monkeypatch):
    monkeypatch.setattr(sys, "argv", ["/usr/bin/pytest"])
    assert runnable("linnet demo") == "linnet demo"
    assert runnable("open it in a browser") == "open it in a browser"
