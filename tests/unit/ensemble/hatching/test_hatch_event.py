"""Hatch in engine.fit: at its share of the budget the seed becomes members; a killed run ends with the same bits."""

import copy
import signal

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from linnet.data import ArrayLoader
from linnet.engine import Listener, Schedule, fit
from linnet.ensemble import Hatch, HatchEnsemble
from linnet.errors import CheckpointError, InputError, TrainingError
from tests import forked

torch.manual_seed(5)
CENTRES = torch.randn(3, 4) * 2
Y = torch.arange(96) % 3
XY = (CENTRES[Y] + torch.randn(96, 4) * 0.3, Y)
EPOCHS = 30


class Classify:
    def loss(self, model, batch):
        logits = model(batch[0])
        return F.cross_entropy(logits, batch[1]), {"accuracy": (logits.argmax(1) == batch[1]).float().mean()}

    def validate(self, model, compute):
        return {"accuracy": float((model(XY[0]).argmax(1) == XY[1]).double().mean())}


def network():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Dropout(0.1), nn.Linear(8, 3))


def train(folder=None, listeners=(), model=None, **options):
    model = model or network()
    hatching = Hatch(XY[0][:1], **{"at": 0.4, "members": 3, "noise": 0.3, **options})
    result = fit(
        model,
        Classify(),
        ArrayLoader(XY, batch_size=32),
        optimizer=torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9),
        epochs=EPOCHS,
        schedule=Schedule("cosine"),
        listeners=[hatching, *listeners],
        folder=folder,
        checkpoint_every=4,
        progress="off",
    )
    return result, hatching


def bits(model):
    return {name: tensor.clone() for name, tensor in model.state_dict().items()}


def same_bits(left, right):
    return left.keys() == right.keys() and all(torch.equal(left[name], right[name]) for name in left)


class Rates(Listener):
    def __init__(self):
        self.seen = []

    def on_gradients(self, run):
        self.seen.append((run.step, run.optimizer.param_groups[0]["lr"], type(run.model).__name__))


def test_the_seed_becomes_members_within_the_budget():
    rates = Rates()
    result, hatching = train(listeners=[rates])
    assert isinstance(result.model, HatchEnsemble)
    assert len(result.model) == 3
    assert result.stopped_because == "the budget is used up"
    steps, one, all_members = EPOCHS * 3, *hatching.macs
    seed_steps = sum(kind == "Sequential" for *_, kind in rates.seen)
    assert seed_steps == 36
    spent = seed_steps * one + (result.steps - seed_steps) * all_members
    assert 0 <= steps * one - spent < all_members
    assert float((result.model(XY[0]).probs.argmax(1) == XY[1]).double().mean()) > 0.9
    assert result.history[-1].validation["accuracy"] > 0.9


def test_the_members_rate_warms_up_and_falls_to_zero_at_the_end_of_the_budget():
    rates = Rates()
    result, _ = train(listeners=[rates], lr=0.05)
    members = [rate for _, rate, kind in rates.seen if kind == "HatchEnsemble"]
    assert max(members) == pytest.approx(0.05, rel=0.02)
    assert members[-1] < 0.1 * max(members)
    assert len(members) == result.steps - 36


class Dies(Listener):
    def __init__(self, step):
        self.step = step

    def on_step(self, run):
        if run.step == self.step:
            raise RuntimeError("killed")


@pytest.mark.parametrize("step", [10, 36, 37, 42])
def test_an_interrupted_run_ends_with_the_same_bits(tmp_path, step):
    whole, _ = train(tmp_path / "whole")
    with pytest.raises(RuntimeError, match="killed"):
        train(tmp_path / "parts", [Dies(step)])
    again, _ = train(tmp_path / "parts")
    assert again.steps == whole.steps
    assert same_bits(bits(again.model), bits(whole.model))
    finished, _ = train(tmp_path / "parts")
    assert same_bits(bits(finished.model), bits(whole.model))


KILLED = """
import os, signal, sys
from tests.unit.ensemble.hatching.test_hatch_event import Dies, Listener, train
class Kill(Listener):
    def on_step(self, run):
        if run.step == int(sys.argv[2]):
            os.kill(os.getpid(), signal.SIGKILL)
train(sys.argv[1], [Kill()])
"""


@pytest.mark.slow
@pytest.mark.parametrize("step", [20, 36, 40])
def test_a_process_that_is_killed_before_in_and_after_the_hatch_goes_on(tmp_path, step):
    process = forked.start(KILLED, tmp_path, str(tmp_path / "run"), str(step))
    process.join(120)
    assert process.exitcode == -signal.SIGKILL
    again, _ = train(tmp_path / "run")
    whole, _ = train()
    assert same_bits(bits(again.model), bits(whole.model))


def test_a_member_whose_loss_breaks_is_stopped_and_named(caplog):
    class Breaks(Listener):
        def on_step(self, run):
            if isinstance(run.model, HatchEnsemble) and run.step == 38:
                with torch.no_grad():
                    run.model.members[1][4].weight.fill_(float("nan"))

    result, hatching = train(listeners=[Breaks()])
    assert list(hatching.stopped) == [1]
    assert len(result.model) == 2
    assert "members[1] is stopped" in caplog.text
    assert all(bool(torch.isfinite(p).all()) for p in result.model.parameters())


def test_another_hatch_is_not_resumed(tmp_path):
    with pytest.raises(RuntimeError):
        train(tmp_path, [Dies(40)])
    with pytest.raises(CheckpointError, match=r"Hatch\(at=0.4, members=3\)"):
        train(tmp_path, members=2)


def test_what_cannot_be_hatched_is_refused_before_the_first_step():
    with pytest.raises(InputError, match="`at`"):
        Hatch(XY[0], at=1.0)
    with pytest.raises(InputError, match="`lr`"):
        Hatch(XY[0], lr=-1)
    with pytest.raises(InputError, match="`factor`"):
        train(factor=0.5)
    model = network()
    before = copy.deepcopy(model.state_dict())
    with pytest.raises(TrainingError, match="no step for 30 members"):
        train(model=model, members=30, at=0.9, factor=3.0)
    assert same_bits(before, model.state_dict())


RANKS = """
import copy, sys, torch
from torch import nn
import torch.distributed as dist
from linnet.data import ArrayLoader
from linnet.engine import fit
from linnet.ensemble import Hatch, HatchEnsemble
from tests.unit.ensemble.hatching.test_hatch_event import XY, Classify, same_bits

class InDouble(Classify):
    def validate(self, model, compute):
        return {"accuracy": float((model(XY[0].double()).argmax(1) == XY[1]).double().mean())}

def trained(norm):
    torch.manual_seed(0)
    layers = [nn.Linear(4, 8), nn.BatchNorm1d(8)] if norm else [nn.Linear(4, 8)]
    model = nn.Sequential(*layers, nn.Tanh(), nn.Linear(8, 3)).double()
    loader = ArrayLoader((XY[0].double(), XY[1]), batch_size=32)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    listeners = [Hatch(XY[0][:1].double(), at=0.4, members=3, noise=0.3)]
    return fit(model, InDouble(), loader, optimizer=optimizer, epochs=10, listeners=listeners, progress="off").model

for norm in (False, True):
    ens = trained(norm)
    assert isinstance(ens, HatchEnsemble) and len(ens) == 3
    mine = torch.cat([t.double().flatten() for t in ens.state_dict().values()])
    first = mine.clone()
    dist.broadcast(first, 0)
    assert torch.equal(mine, first), "the processes have different members"
    if not norm and dist.get_rank() == 0:
        torch.save(mine, sys.argv[1])
print("rank", dist.get_rank(), "is done")
"""


@pytest.mark.slow
def test_on_two_ranks_members_are_hatched_alike_and_learn_from_the_whole_batches(tmp_path):
    script, kept = tmp_path / "ranks.py", tmp_path / "members.pt"
    script.write_text(RANKS)
    assert forked.run_on_ranks(script, tmp_path, str(kept)).count("is done") == 2
    # One process with the whole batches ends with the same members: without batch norm nothing depends on the split.
    names = {}
    alone = RANKS.split("for norm in")[0].replace("import torch.distributed as dist", "")
    exec(alone, names)
    mine = torch.cat([t.double().flatten() for t in names["trained"](norm=False).state_dict().values()])
    assert torch.allclose(mine, torch.load(kept), rtol=0, atol=1e-10)
