"""Tools that are missing are named with the line that installs them."""

import importlib.util
import shutil

import pytest

from linnet.errors import ToolError
from linnet.jet.verilog import tools


@pytest.fixture
def bare(monkeypatch):
    """A machine without any of the tools."""
    monkeypatch.setattr(shutil, "which", lambda name: None)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    tools.tool.cache_clear()
    yield
    tools.tool.cache_clear()


@pytest.mark.parametrize("name", ["yosys", "nextpnr-ecp5", "nextpnr-ice40"])
def test_a_missing_simulator_or_place_and_route_says_both_ways_to_install_it(bare, name):
    with pytest.raises(ToolError, match=rf'`{name}` is needed.*pip install "linnet\[hardware\]".*apt install {name}'):
        tools.tool(name)
    assert tools.missing("g++", name).startswith("`g++`")


@pytest.mark.parametrize("name", ["iverilog", "g++"])
def test_what_comes_with_the_system_names_its_package(bare, name):
    with pytest.raises(ToolError, match=f"Install it by `apt install {name.replace('+', '.')}`"):
        tools.tool(name)


def test_headers_of_another_yosys_are_missed_by_name(bare):
    with pytest.raises(ToolError, match="headers of CXXRTL"):
        tools.cxxrtl_headers()


def test_a_tool_that_fails_shows_the_end_of_what_it_said(tmp_path):
    with pytest.raises(ToolError, match=r"sh -c .* stopped with code 3:\nno such cell"):
        tools.Tool("sh", ("sh",), "").run("-c", "echo no such cell >&2; exit 3", cwd=tmp_path)
