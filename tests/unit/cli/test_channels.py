"""`linnet channels`: the table, the files, the trial, and what a mistake is told."""

import json
import re

import pytest
import torch
from torch import nn

from linnet.cli.application import main
from linnet.cli.model_argument import example_of, model_of, with_weights
from linnet.core import ChannelGraph
from linnet.engine import load, save
from linnet.errors import CheckpointError, InputError
from linnet.models import MLP, Tiny
from linnet.recipe.classifier_file import save_classifier

NETS = """
import torch
from torch import nn

WIDTH = 8


def small():
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, WIDTH, 3), nn.BatchNorm2d(WIDTH), nn.ReLU(), nn.Conv2d(WIDTH, 2, 1))


def wide(width):
    return nn.Conv2d(3, width, 3)


def nothing():
    return 3
"""


@pytest.fixture
def nets(tmp_path):
    path = tmp_path / "nets_of_a_user.py"
    path.write_text(NETS)
    return path


def test_the_table_the_cost_and_the_next_command_are_printed(nets, capsys):
    assert main(["channels", f"{nets}:small", "--input", "4x3x6x6"]) == 0
    out = capsys.readouterr().out
    assert re.search(r"^0 +8 +1 +7 .* free$", out, re.MULTILINE)
    assert "frozen: " in out
    assert "one sample: 258 parameters, 3,712 MACs" in out
    assert "Result: the table above" in out
    assert "Next:   linnet channels" in out


def test_a_network_that_knows_its_input_needs_none(tmp_path, nets, capsys):
    assert main(["channels", "tiny"]) == 0
    out = capsys.readouterr().out
    assert "one sample: 5,466 parameters" in out
    assert "Next:   linnet channels tiny --input 1x3x32x32 --html channels.html draws it" in out
    saved = save_classifier(
        Tiny(input_shape=(1, 8, 9), classes=2, width=4), tmp_path / "net.safetensors", name="tiny",
        options={"input_shape": (1, 8, 9), "classes": 2, "width": 4}, facts={},
    )  # fmt: skip
    assert main(["channels", str(saved)]) == 0
    assert "--input 1x1x8x9 " in capsys.readouterr().out
    assert main(["channels", f"{nets}:small"]) == 2
    assert "--input" in capsys.readouterr().err


def test_a_trial_is_proved_and_priced(nets, capsys):
    assert main(["channels", f"{nets}:small", "-i", "1x3x6x6", "--try", "0=0.5"]) == 0
    out = capsys.readouterr().out
    assert "0: 4 of 8 channels kept; narrowed equals masked within" in out
    assert "before: 258 parameters, 3,712 MACs" in out
    assert "after:  130 parameters, 1,856 MACs" in out


def test_a_budget_shows_what_would_stay(nets, capsys):
    command = ["channels", f"{nets}:small", "--input", "1x3x8x8", "--budget", "macs=0.6", "--align", "2"]
    assert main(command) == 0
    printed = capsys.readouterr().out
    assert re.search(r"budget: macs <= 0.6 of the given network's\n.*\n +0 +4 of 8", printed)


@pytest.mark.parametrize(
    "limits", [["--budget", "macs=0.6,params=0.55"], ["--budget", "macs=0.6", "--budget", "params=0.55"]]
)
def test_several_limits_are_all_kept(limits, nets, capsys):
    assert main(["channels", f"{nets}:small", "--input", "1x3x8x8", "--align", "1", *limits]) == 0
    printed = capsys.readouterr().out
    assert "budget: macs <= 0.6 of the given network's, params <= 0.55 of the given network's" in printed
    kept = {name: float(share) for name, share in re.findall(r"  (macs|params): .*\(([\d.]+) kept\)", printed)}
    assert 0.4 < kept["macs"] <= 0.6
    assert 0.4 < kept["params"] <= 0.55


@pytest.mark.parametrize(
    ("limit", "words"),
    [("macs=0.3,macs=0.5", "`macs`"), ("macs=0.3,", "--budget"),
     ("mac=0.3", "`mac=0.3`"), ("macs=lots", "`macs=lots`"),
     ("macs=0", "`macs`"), ("macs=0.001", "`macs`")],
)  # fmt: skip
def test_a_budget_that_is_none_is_one_clear_line(limit, words, nets, capsys):
    assert main(["channels", f"{nets}:small", "--input", "1x3x8x8", "--budget", limit, "--align", "2"]) == 2
    assert words in capsys.readouterr().err


def test_the_files_hold_the_graph_and_one_page(nets, tmp_path, capsys):
    page, data = tmp_path / "page.html", tmp_path / "graph.json"
    arguments = [
        "channels",
        f"{nets}:small",
        "-i",
        "1x3x6x6",
        "--frozen",
        "0",
        "--html",
        str(page),
        "--json",
        str(data),
    ]
    assert main(arguments) == 0
    assert f"Result: {data}, {page}" in capsys.readouterr().out
    graph = ChannelGraph.from_dict(json.loads(data.read_text()))
    assert graph.classes["0"].frozen is not None
    html = page.read_text()
    assert html.count("<title>") >= len(graph.classes)
    assert "0: 8 channels, 100.0% of the MACs" in html
    assert "The peak is at <code>1</code> aten::native_batch_norm" in html
    assert "operator, in order of execution" in html
    assert "#000000" not in html  # the chart's text takes the page's colour, light or dark
    assert "://" not in re.sub(r"http://www.w3.org/\S+", "", html)


def test_a_page_into_a_missing_folder_names_that_folder(nets, tmp_path, capsys):
    assert main(["channels", f"{nets}:small", "-i", "1x3x6x6", "--html", str(tmp_path / "no" / "page.html")]) == 2
    said = capsys.readouterr().err
    assert f"`{tmp_path / 'no'}`" in said


def test_weights_are_taken_from_either_kind_of_file(nets, tmp_path):
    import safetensors.torch

    net = model_of(f"{nets}:small")
    with torch.no_grad():
        net[0].bias.fill_(7)
    plain, own = tmp_path / "plain.safetensors", tmp_path / "own.safetensors"
    safetensors.torch.save_file(net.state_dict(), plain)
    save(net, own)
    for path in (plain, own):
        assert float(with_weights(model_of(f"{nets}:small"), path)[0].bias[0].detach()) == 7
    with pytest.raises(CheckpointError, match=r"plain\.safetensors"):
        with_weights(nn.Linear(2, 2), plain)


def test_names_modules_and_the_shipped_detector_are_models():
    assert isinstance(model_of("tiny"), Tiny)
    assert isinstance(model_of("linnet.models.mlp:MLP"), MLP)
    assert example_of("2x16:int64").dtype is torch.int64
    assert example_of("2x3x4").shape == (2, 3, 4)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("resnett", "`resnett`.*resnet"),
        ("missing.py:net", r"missing\.py"),
        ("no_such_package:net", "no_such_package"),
        ("{nets}:smal", "`smal`.*small"),
        ("{nets}:WIDTH", "`WIDTH`.*int"),
        ("{nets}:wide", "without arguments"),
        ("{nets}:nothing", r"torch\.nn\.Module"),
        ("missing.safetensors", r"missing\.safetensors"),
    ],
)
def test_a_model_that_is_none_is_one_clear_line(words, message, nets, capsys):
    assert main(["channels", words.format(nets=nets), "--input", "1x3x6x6"]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert re.search(message, captured.err)
    assert captured.err.count("\n") == 1


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--input", "1x3xq"], "`1x3xq`"),
        (["--input", "1x3:int9"], "`1x3:int9`"),
        (["--input", "1x4x6x6"], "(1, 4, 6, 6)"),
        (["--input", "1x3x6x6", "--try", "0"], "--try"),
        (["--input", "1x3x6x6", "--try", "0=2"], "`0=2`"),
        (["--input", "1x3x6x6", "--try", "00=0.5"], "`00`"),
        (["--input", "1x3x6x6", "--try", "input=0.5"], "frozen"),
        (["--input", "1x3x6x6", "--frozen", "9"], "frozen"),
        (["--input", "1x3x6x6", "--grouped", "all"], "grouped"),
    ],
)
def test_a_wrong_option_is_one_clear_line(options, message, nets, capsys):
    assert main(["channels", f"{nets}:small", *options]) == 2
    assert message in capsys.readouterr().err


def test_a_file_that_does_not_say_how_it_is_built_names_the_way(nets, tmp_path):
    path = save(model_of(f"{nets}:small"), tmp_path / "own.safetensors")
    with pytest.raises(CheckpointError, match=r"file\.py:factory --weights"):
        model_of(str(path))
    assert load(model_of(f"{nets}:small"), path)[0].out_channels == 8
    with pytest.raises(InputError, match="`a:b:c d`"):
        model_of("a:b:c d")
