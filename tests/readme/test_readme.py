"""What README.md and the docs say is so: code, output, numbers, commands and links."""

import os
import re
import shlex
import subprocess
from pathlib import Path

import pytest
from PIL import Image

from benchmarks import ROOT, readme
from benchmarks.core import graph_pages as graphs
from benchmarks.nuclei import card
from benchmarks.page import filled
from benchmarks.prune import picture as pruned_picture
from linnet.cli.application import main
from linnet.jet.verification.rtl import missing_rtl
from tests import forked

PAGE = readme.page()
README = PAGE.current()
PAGES = [PAGE.path, ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]


def blocks(text: str, language: str) -> list[str]:
    return re.findall(rf"^ *```{language}\n(.*?)^ *```", text, re.DOTALL | re.MULTILINE)


def commands() -> list[str]:
    """Every line of a console block that calls linnet, on any page."""
    lines = [line for page in PAGES for block in blocks(page.read_text(), "console") for line in block.splitlines()]
    return sorted({line.split("#")[0][2:].strip() for line in lines if line.startswith("$ linnet")})


def test_the_code_prints_what_the_readme_shows():
    [(code, output)] = readme.CODE.findall(README)
    assert len(code.strip().splitlines()) <= 12
    assert readme.printed(code) == output


def other_code() -> list[str]:
    shown = [code for code, _ in readme.CODE.findall(README)]
    return [code for code in blocks(README, "python") if code not in shown]


def with_few(code: str) -> str:
    """The code with 8 of the reader's images in place of 64, which go through every build and simulator."""
    few, count = re.subn(r"\(64, (1, \d+, \d+)\)\), torch.randint\(0, 10, \(64,\)\)  # yours", FEW, code)
    assert count == 1
    return few


FEW = r"(8, \1)), torch.randint(0, 10, (8,))  # yours"


@pytest.mark.parametrize("code", other_code())
def test_the_other_code_of_the_readme_runs(code, tmp_path):
    if '"rtl"' in code:
        if why := missing_rtl():
            pytest.skip(why)
        code = with_few(code)
    forked.run(code, tmp_path)


def test_the_tables_are_those_of_the_records():
    assert filled(README, "records", PAGE.parts["records"]()) == README
    assert filled(README, "prune", PAGE.parts["prune"]()) == README


def test_the_pictures_of_pruning_are_there_in_both_themes():
    for path, (paper, _) in pruned_picture._THEMES.items():
        assert f"docs/images/{path.name}" in README
        corner = Image.open(path).convert("RGB").getpixel((0, 0))
        assert "#{:02x}{:02x}{:02x}".format(*corner) == paper


def test_the_model_card_is_that_of_the_weights():
    assert card.PAGE.current() == card.shipped_card()


def test_the_set_up_is_the_first_thing_to_type_and_make_knows_it():
    [first, *_] = blocks(README, "console")
    targets = [line.split()[2] for line in first.splitlines()]
    assert targets == ["demo", "test"]
    for target in targets:
        run = subprocess.run(["make", "--dry-run", target], cwd=ROOT, capture_output=True, text=True, check=False)
        assert run.returncode == 0, run.stderr


def test_ci_runs_the_test_command_of_the_readme():
    assert (ROOT / ".ci" / "run").read_text().splitlines()[-1] == "make test"
    assert os.access(ROOT / ".ci" / "run", os.X_OK)


@pytest.mark.parametrize("command", commands())
def test_every_command_line_is_understood(command):
    # Names and options must exist: the words are parsed, nothing is run.
    from linnet.cli.application import app

    app.parse_args(shlex.split(command)[1:], exit_on_error=False, print_error=False)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page):
    links = re.findall(r"\]\((?!https?:|#)([^)#\s]+)", page.read_text(encoding="utf-8"))
    missing = [link for link in links if not (page.parent / link).exists()]
    assert missing == []


def named_paths(text: str) -> set[str]:
    """Backticked names of Python files and folders, outside blocks of code."""
    prose = re.sub(r"^ *```.*?^ *```", "", text, flags=re.DOTALL | re.MULTILINE)
    return set(re.findall(r"`([\w./-]+(?:\.py|/))`", prose))


def absent(names: set[str], paths: set[str]) -> list[str]:
    """Those that are neither a path of the repository nor the end of one."""
    return sorted(name for name in names if not any(f"/{path}".endswith(f"/{name}") for path in paths))


TREES = ("src", "tests", "benchmarks", "papers", "examples", "recipes", "docs")
WRITTEN_BY_LINNET = {"found/"}  # the tour's output folder


@pytest.fixture(scope="module")
def repository_paths():
    """Files and folders, with a slash after folders, from the repository's root."""
    found = [path.relative_to(ROOT) for top in TREES for path in (ROOT / top).rglob("*.*") if path.is_file()]
    files = [path for path in found if "__pycache__" not in path.parts]  # which outlive a folder that has moved
    folders = {f"{folder}/" for path in files for folder in path.parents if folder != Path()}
    return folders | {str(path) for path in files}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_named_files_and_folders_exist(page, repository_paths):
    assert absent(named_paths(page.read_text(encoding="utf-8")) - WRITTEN_BY_LINNET, repository_paths) == []


def test_a_file_that_has_moved_is_noticed(repository_paths):
    text = "`nuclei/read/formats.py`, `nuclei/formats.py`, `core/channels/`, `core/flow/`, `graph.py`, `a/b`"
    assert absent(named_paths(text), repository_paths) == ["core/flow/", "nuclei/formats.py"]


@pytest.mark.parametrize(
    "page",
    [
        "concepts/capture.md",
        "concepts/channels.md",
        "concepts/masked_is_sliced.md",
        "howto/channel_rule.md",
        "howto/layer_rule.md",
        "howto/verb.md",
        "howto/listener.md",
        "padam.md",
        "../CONTRIBUTING.md",
    ],
)
def test_code_of_the_docs_runs(page, tmp_path):
    for code in blocks((ROOT / "docs" / page).read_text(), "python"):
        forked.run(code, tmp_path)


@pytest.mark.parametrize(
    "page",
    [
        "read_a_graph",
        "freeze",
        "narrow_in_a_loop",
        "per_sample_gradients",
        "network_files",
        "prune",
        "prune_to_a_latency",
        "prune_under_torchrun",
        "federated",
        "largest_learning_rate",
        "largest_eigenvalue",
    ],
)
def test_code_of_the_how_tos_runs_from_top_to_bottom(page, tmp_path, monkeypatch):
    monkeypatch.setenv("LINNET_CACHE", str(tmp_path))
    code = "\n".join(blocks((ROOT / "docs" / "howto" / f"{page}.md").read_text(), "python"))
    forked.run(code, tmp_path)


def test_code_of_the_page_of_jets_runs_from_top_to_bottom(tmp_path):
    forked.run(with_few("\n".join(blocks((ROOT / "docs" / "jets.md").read_text(), "python"))), tmp_path)
    assert (tmp_path / "net_c" / "linnet_jet.c").exists()
    assert (tmp_path / "net_v" / "linnet_jet_tb.v").exists()


def test_the_pages_of_graphs_and_rules_are_up_to_date():
    assert graphs.RULE_LIST.current() == graphs.rules_page()
    assert graphs.GRAPHS.current() == graphs.graphs_page()


def test_the_citation_names_the_seven_papers():
    text = (ROOT / "CITATION.cff").read_text()
    assert text.count("    title: ") == 7
    assert "version: " + __import__("linnet").__version__ in text


def test_the_demo_finds_most_of_what_experts_outlined(tmp_path, capsys):
    out = tmp_path / "shown"
    assert main(["demo", "--out", str(out)]) == 0
    shown = capsys.readouterr().out
    assert float(re.search(r"F1 (\d\.\d+)", shown)[1]) >= 0.9
    assert "fluorescence" in shown
    assert "tissue" in shown
    assert f"Result: {out / 'report.html'}" in shown
    assert "Next:   linnet nuclei detect" in shown
    html = (out / "report.html").read_text()
    assert html.count("<svg") == 2
    assert "CC0 1.0" in html
    assert "CC BY 4.0" in html
    assert "://" not in re.sub(r"""xmlns(:\w+)?=("[^"]*"|'[^']*')""", "", html)
    for name in ("tissue", "fluorescence"):
        assert {Path(f"{name}{end}") for end in (".png", ".csv", ".geojson")} <= {
            path.relative_to(out) for path in out.iterdir()
        }


def test_the_pictures_of_the_demo_are_light_and_name_their_source():
    samples = ROOT / "src" / "linnet" / "nuclei" / "samples"
    assert sum(path.stat().st_size for path in samples.iterdir()) <= 400_000
    text = (samples / "README.md").read_text()
    for name in ("fluorescence.png", "tissue.jpg", "CC0 1.0", "CC BY 4.0", "Naylor", "Caicedo"):
        assert name in text


def test_natural_learns_digits_on_its_predicted_line(tmp_path, capsys):
    out = tmp_path / "natural"
    assert main(["natural", "--out", str(out)]) == 0
    shown = capsys.readouterr().out
    html = (out / "report.html").read_text()
    assert shown.count("isotropy error") == 9
    assert "Natural gradient on its predicted line" in html
    steps = re.findall(r"step \d: loss ([\d.]+) \(predicted ([\d.]+)\), alpha 1, isotropy error (\S+),", shown)
    losses = [(float(measured), float(predicted)) for measured, predicted, _ in steps]
    assert losses[0][0] == losses[0][1]
    for measured, predicted in losses:
        assert predicted * 0.9 <= measured <= predicted * 1.8  # O(1 / sqrt(width)) above the line, more so later
    assert max(float(error) for _, _, error in steps) < 1e-10
