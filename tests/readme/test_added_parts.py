"""The parts that the how-tos add work once they stand where the how-to says."""

from pathlib import Path
from typing import Literal

import numpy as np
import pytest
import torch
from torch import nn

from benchmarks import ROOT
from linnet import recipe
from linnet.core import ChannelGraph
from linnet.errors import ImageError, InputError, RecipeError
from linnet.optim import NaturalGradient
from linnet.optim.natural import arguments, natural_gradient
from linnet.prune import Budget, plan, pruning_plan
from linnet.prune.importance import from_weights
from linnet.recipe.plan import SECTIONS
from papers.study import finished_trials
from tests.readme.test_readme import blocks


def added_by(page: str) -> dict:
    """The names that the first block of code of a how-to defines, or the second, counted from 0."""
    page, _, number = page.partition("#")
    code = blocks((ROOT / "docs" / "howto" / f"{page}.md").read_text(encoding="utf-8"), "python")[int(number or 0)]
    names = {"__name__": f"added_by_{page}", "__doc__": page}
    exec(compile(code, f"{page}.md", "exec"), names)
    return names


def test_an_added_approximation_takes_the_step_of_its_dense_definition(monkeypatch):
    known = {**natural_gradient.APPROXIMATIONS, "diagonal": added_by("approximation")["Diagonal"]}
    for user in (natural_gradient, arguments):
        monkeypatch.setattr(user, "APPROXIMATIONS", known)
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2)).double()
    x, y = torch.rand(5, 3).double(), torch.rand(5, 2).double()
    before = {name: p.detach().clone() for name, p in net.named_parameters()}
    rows = torch.func.jacrev(lambda p: torch.func.functional_call(net, p, (x,)))(before)  # (5, 2, *shape)
    residual = (net(x) - y).detach()
    NaturalGradient(net, loss="mse", approx="diagonal", damping=0.1, lr=0.5, kl_clip=None).step(x, y)
    for name, parameter in net.named_parameters():
        jacobian = rows[name].flatten(2)
        gradient = torch.einsum("ncp,nc->p", jacobian, residual) / 5
        expected = gradient / (jacobian.square().sum((0, 1)) / 5 + 0.1)
        moved = (before[name] - parameter.detach()).flatten() / 0.5
        assert torch.allclose(moved, expected, rtol=1e-10, atol=1e-14), name
    with pytest.raises(InputError, match="damping"):
        NaturalGradient(net, loss="mse", approx="diagonal", damping=0.0)


def test_an_added_criterion_removes_one_of_two_equal_filters(monkeypatch):
    known = {**from_weights._CRITERIA, "distance": added_by("criterion")["distance"]}
    monkeypatch.setattr(from_weights, "_CRITERIA", known)
    monkeypatch.setattr(pruning_plan, "Criterion", Literal["distance"])
    net = nn.Sequential(nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 1))
    with torch.no_grad():
        net[0].weight.copy_(torch.tensor([[1.0, 0.0], [1.0, 0.0], [0.0, 5.0]]))
    graph = ChannelGraph(net, torch.rand(1, 2))
    [hidden] = [known for known in graph.classes.values() if known.frozen is None]
    far = 26**0.5
    assert np.allclose(from_weights._CRITERIA["distance"](net, hidden, np.random.default_rng(0)), [far, far, 2 * far])
    found = plan(net, torch.rand(1, 2), Budget(macs=0.7), criterion="distance", align=1)
    assert found.kept[hidden.name] in ((0, 2), (1, 2))


@pytest.mark.parametrize("kind", ["u1", "<u2"])
def test_an_added_reader_gives_the_pixels_and_refuses_what_is_cut(kind):
    read = added_by("image_format")["read_pgm"]
    largest = np.iinfo(kind).max
    pixels = np.array([[0, 1, 2], [3, 4, largest]], kind)
    content = b"P5\n3 2\n%d\n" % largest + pixels.astype(pixels.dtype.newbyteorder(">")).tobytes()
    assert np.array_equal(read("a.pgm", content), pixels)
    assert read("a.pgm", content).dtype == np.dtype(kind)
    for damaged in (content[:-1], content[1:], b"P5\n3 2\n"):
        with pytest.raises(ImageError, match=r"a\.pgm"):
            read("a.pgm", damaged)


def test_an_added_section_is_read_and_its_rules_hold(tmp_path, monkeypatch):
    monkeypatch.setitem(SECTIONS, "notes", added_by("recipe_task")["NotesSection"])
    path = tmp_path / "a.toml"
    sections = [
        '[data]\nname = "digits"',
        '[model]\nname = "mlp"',
        '[optimizer]\nname = "sgd"\nlr = 0.1',
        "[train]\nepochs = 1",
    ]
    start = "\n".join(['task = "classify"', *sections, "[notes]", ""])
    path.write_text(f'{start}text = "good"\nstars = 4\n')
    assert (recipe.parse(path)["notes"].text, recipe.parse(path)["notes"].stars) == ("good", 4)
    for lines, words in (('text = ""\nstars = 5\n', "5 stars"), ('text = ""\nstars = 6\n', "`stars`"), ("", "`text`")):
        path.write_text(start + lines)
        with pytest.raises(RecipeError, match=words):
            recipe.parse(path)


def test_an_added_subject_gives_its_records():
    subject = added_by("benchmark")["SUBJECT"]
    time, error = subject.measure(quick=True)
    assert (time.name, error.name) == ("sums.time", "sums.error")
    assert time.value > 0
    assert error.value <= 1e-6
    assert "a sum in two steps" in subject.as_markdown([time, error])


def test_an_added_study_does_its_trials_once(tmp_path, capsys):
    names = added_by("benchmark#1")
    command: Path = tmp_path / "out"
    for _ in range(2):
        assert names["COMMAND"].main(["--workers", "0", "--out", str(command)]) == 0
    found = finished_trials(command / "records" / "smoke.jsonl")
    assert sorted(record.value for record in found.values()) == [0.0, 1.0, 4.0]
    assert "| square of=2 | 4.0 |" in (command / "README.md").read_text()
    assert "0 runs in" in capsys.readouterr().out
