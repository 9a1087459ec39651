"""`linnet spectrum`: the demo, a network on images, a recipe, and what a mistake is told."""

import pytest
import torch
from torch import nn

from linnet.cli.application import main
from linnet.results import read_records

NETS = """
import torch
from torch import nn


def maps():
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(1, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU(), nn.Conv2d(4, 2, 1))
"""


@pytest.fixture
def nets(tmp_path):
    path = tmp_path / "nets.py"
    path.write_text(NETS)
    return path


def records(folder):
    return {record.name: record.value for record in read_records(folder / "records.jsonl")}


def test_the_demo_shows_the_table_the_theory_and_the_next_step(tmp_path, capsys):
    out = tmp_path / "demo"
    assert main(["spectrum", "--demo", "--samples", "40", "--out", str(out)]) == 0
    said = capsys.readouterr().out
    for words in (
        "mean",
        "second moment",
        "largest ten",
        "safe step",
        "with last-layer centring",
        "kappa",
        "outlier 10",
    ):
        assert words in said
    assert f"Result: {out / 'report.html'}" in said
    assert "Next:   linnet spectrum mlp --data fashion_mnist" in said
    found = records(out)
    assert found["spectrum.safe_lr"] == pytest.approx(2 / found["spectrum.top.1"], rel=1e-3)
    assert found["spectrum.centered_max"] < found["spectrum.top.10"]
    assert found["spectrum.verified.below"] < 1
    assert found["spectrum.verified.above"] > 10
    assert "the safe step, verified: at" in said
    page = (out / "report.html").read_text()
    assert "contraction" in page
    for words in ("Beside mean-field theory", "alpha M kappa_2", "mean eigenvalue, tr F / P", "outlier 10"):
        assert words in page
    assert "spectrum.top" not in page
    assert page.count("<svg") == 1
    assert (out / "pictures" / "eigenvalues.png").stat().st_size > 5000


def test_a_network_with_maps_needs_a_reduction_and_every_kind_is_shown(nets, tmp_path, capsys):
    out = tmp_path / "out"
    command = ["spectrum", f"{nets}:maps", "--input", "1x1x6x6", "-n", "5", "-o", str(out)]
    assert main(command) == 2
    told = " ".join(capsys.readouterr().err.split())
    assert "AdaptiveAvgPool2d" in told
    assert "--reduce mean and --reduce flatten do that" in told
    kinds = "fisher,ntk,input,feature:0.0"
    assert main([*command, "--reduce", "mean", "--what", kinds, "--loss", "cross_entropy"]) == 0
    assert "metric of feature:0.0: d = 144" in capsys.readouterr().out
    assert {"ntk.max", "metric.input.max", "spectrum.mean"} <= set(records(out))
    assert all(
        (out / "pictures" / f"{name}.png").stat().st_size > 3000 for name in ("eigenvalues", "ntk", "directions")
    )


def test_little_memory_changes_no_number(nets, tmp_path):
    command = ["spectrum", f"{nets}:maps", "--input", "1x1x6x6", "-n", "6", "--reduce", "mean", "--what", "fisher,ntk"]
    found = []
    for name, words in (("much", []), ("little", ["--memory-gib", "1e-5"])):
        assert main([*command, *words, "--out", str(tmp_path / name)]) == 0
        found.append(records(tmp_path / name))
    assert found[0] == pytest.approx(found[1], rel=1e-5)


def test_digits_and_a_saved_state(nets, tmp_path, capsys):
    pytest.importorskip("sklearn")
    out = tmp_path / "out"
    assert main(["spectrum", f"{nets}:maps", "--data", "digits", "-n", "4", "--reduce", "flatten", "-o", str(out)]) == 0
    assert "N = 4" in capsys.readouterr().out


def test_a_recipe_gives_network_and_data(tmp_path, capsys):
    pytest.importorskip("sklearn")
    recipe = tmp_path / "small.toml"
    sections = ('name = "digits"', 'name = "tiny"\nwidth = 4', 'name = "sgd"\nlr = 0.1', "epochs = 1")
    named = zip(("data", "model", "optimizer", "train"), sections, strict=True)
    recipe.write_text('task = "classify"\n' + "\n".join(f"[{name}]\n{text}" for name, text in named))
    assert main(["spectrum", str(recipe), "-n", "6", "--loss", "cross_entropy", "-o", str(tmp_path / "out")]) == 0
    assert "Fisher matrix (cross_entropy)" in capsys.readouterr().out


def test_the_map_of_step_sizes_has_its_line(monkeypatch, nets, tmp_path):
    import linnet.spectra
    from linnet.spectra import lr_map

    def smaller(make, widths, lrs, data):
        return lr_map(make, widths[:2], lrs[::6], data, steps=10)

    monkeypatch.setattr(linnet.spectra, "lr_map", smaller)
    out = tmp_path / "out"
    command = ["spectrum", f"{nets}:maps", "-i", "1x1x4x4", "-n", "3", "--reduce", "mean", "--heatmap", "-o", str(out)]
    assert main(command) == 0
    assert (out / "pictures" / "lr_map.png").stat().st_size > 5000
    assert "spectrum.lr_map.32" in records(out)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "MODEL must be given, or --demo"),
        (["mlp", "--demo"], "MODEL must be given, or --demo"),
        (["mlp", "--samples", "0"], "`--samples` must be 1 or more"),
        (["mlp", "--memory-gib", "0"], "`--memory-gib` must be above 0"),
        (["mlp", "--what", "hessian"], "`--what` must be one of fisher, ntk, input"),
        (["mlp", "--what", ""], "`--what` must be one of fisher, ntk, input, or feature:LAYER (got '')"),
        (["tiny", "--what", "feature:nowhere", "-n", "2"], "`--what` must be a module of the model (got 'nowhere')"),
        (["mlp", "--loss", "hinge", "-n", "2"], "`--loss` must be one of"),
        (["mlp", "--data", "nowhere"], "`--data` must be digits"),
        (["mlp", "--reduce", "sum"], "`--reduce` must be one of"),
        (["tiny", "-n", "2", "--compare-theory"], "perceptron"),
        (["tiny", "-n", "2", "--compare-theory"], "Leave out --compare-theory."),
    ],
)
def test_a_mistake_is_told_in_the_words_of_the_command(words, message, tmp_path, capsys):
    assert main(["spectrum", *words, "--out", str(tmp_path)]) == 2
    assert message in " ".join(capsys.readouterr().err.split())


@pytest.mark.parametrize("under", ["", "sub/folder"])
def test_a_file_in_the_place_of_the_folder_is_told_before_anything_is_measured(under, nets, tmp_path, capsys):
    taken = tmp_path / "taken"
    taken.touch()
    command = ["spectrum", f"{nets}:maps", "--input", "1x1x6x6", "--reduce", "mean", "--out", str(taken / under)]
    assert main(command) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert "`--out` must be a folder" in " ".join(said.err.split())
    assert taken.is_file()


def test_the_network_is_read_in_eval_mode():
    from linnet.cli.spectra.spectrum import _reduced

    net = _reduced(nn.Sequential(nn.BatchNorm2d(2)).eval(), "flatten")
    assert not net.training
    assert net(torch.zeros(3, 2, 2, 2)).shape == (3, 8)
