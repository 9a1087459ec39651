"""ens.fit: through the engine or by hand, each member with its own data, rate and fate."""

import copy
import math
from functools import partial

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from linnet.data import ArrayLoader
from linnet.engine import Compute, Schedule
from linnet.ensemble import HatchEnsemble, hatch
from linnet.ensemble.training.choice import build
from linnet.ensemble.training.fitting import Manner, _step
from linnet.errors import InputError, TrainingError
from linnet.optim import Padam
from tests import forked

torch.manual_seed(5)
CENTRES = torch.randn(3, 4) * 2
Y = torch.arange(96) % 3
XY = (CENTRES[Y] + torch.randn(96, 4) * 0.3, Y)


def network():
    return nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 3))


def ensemble(members=3):
    torch.manual_seed(0)
    return HatchEnsemble([network() for _ in range(members)])


def loader(rng_seed=0):
    return ArrayLoader(XY, batch_size=32, rng_seed=rng_seed)


def accuracy(ens):
    return float((ens(XY[0]).probs.argmax(1) == XY[1]).double().mean())


def states(ens):
    return [{k: v.clone() for k, v in member.state_dict().items()} for member in ens.members]


def far_apart(left, right):
    """Largest difference of any weight or statistic."""
    return max(float((a[k].double() - b[k].double()).abs().max()) for a, b in zip(left, right, strict=True) for k in a)


def weights(state):
    return {key: tensor for key, tensor in state.items() if "running" not in key and "tracked" not in key}


def test_members_learn_and_the_choice_is_told():
    ens = ensemble()
    found = ens.fit(loader(), epochs=20, lr=0.1)
    assert accuracy(ens) > 0.95
    assert found.members == 3
    assert found.stopped == {}
    assert set(found.choice.seconds) == {"loop", "stacked", "grouped"}
    assert found.history[-1].loss < found.history[0].loss
    assert not ens.training


@pytest.mark.parametrize("optimizer", [partial(torch.optim.SGD, momentum=0.9), Padam])
def test_stacked_and_loop_train_alike_with_rates_of_their_own(optimizer):
    results = []
    for stacked in (True, False):
        ens = ensemble().double()
        own = [loader(k) for k in range(3)]
        double = [ArrayLoader((XY[0].double(), XY[1]), batch_size=32, rng_seed=k) for k in range(len(own))]
        ens.fit(double, epochs=7, optimizer=optimizer, lr=[0.1, 0.03, 0.01], stacked=stacked, grad_clip=0.5)
        results.append(states(ens))
    assert far_apart(*results) <= 1e-10


def test_each_member_has_its_own_rate_and_order():
    ens = ensemble()
    with torch.no_grad():
        for member in ens.members:
            member.load_state_dict(ens.members[0].state_dict())
    start = states(ens)
    ens.fit(loader(), epochs=1, lr=[0.1, 0.1, 0.001], schedule=Schedule("constant"), stacked=False)
    moved = [far_apart([weights(a)], [weights(b)]) for a, b in zip(start, states(ens), strict=True)]
    assert moved[0] == moved[1] > moved[2]
    again = ensemble()
    with torch.no_grad():
        for member in again.members:
            member.load_state_dict(again.members[0].state_dict())
    again.fit([loader(0), loader(0), loader(1)], epochs=1, lr=0.1)
    assert far_apart([states(again)[0]], [states(again)[1]]) == 0
    assert far_apart([states(again)[0]], [states(again)[2]]) > 0


def test_a_members_rate_is_what_it_would_be_alone():
    ens = ensemble()
    alone = HatchEnsemble([copy.deepcopy(ens.members[2])])
    ens.fit(loader(), epochs=3, lr=[0.1, 0.1, 0.02])
    alone.fit(loader(), epochs=3, lr=0.02)
    assert far_apart([states(ens)[2]], states(alone)) <= 1e-5


@pytest.mark.parametrize("stacked", [True, False])
def test_a_member_whose_loss_breaks_is_stopped_and_named_and_the_others_go_on(stacked, caplog):
    ens, twin = ensemble(), ensemble()
    with torch.no_grad():
        ens.members[1][3].weight.fill_(float("nan"))
    found = ens.fit(loader(), epochs=5, stacked=stacked)
    assert found.members == 2 == len(ens)
    assert list(found.stopped) == [1]
    assert "members[1] is stopped" in caplog.text
    twin.fit(loader(), epochs=5, stacked=stacked)
    assert far_apart(states(ens), [states(twin)[0], states(twin)[2]]) <= 1e-6
    assert math.isfinite(found.history[-1].loss)


def perceptrons(members=3):
    torch.manual_seed(1)
    return [
        nn.Sequential(nn.Linear(4, 16), nn.ReLU(), nn.Linear(16, 16), nn.ReLU(), nn.Linear(16, 1))
        for _ in range(members)
    ]


def wide_range(rng_seed=0):
    x = 5 * torch.randn(80, 4, generator=torch.Generator().manual_seed(2))
    return ArrayLoader((x, x.sum(1, keepdim=True)), batch_size=20, rng_seed=rng_seed)


def told(caplog):
    return [record.getMessage() for record in caplog.records if record.name.startswith("linnet")]


@pytest.mark.parametrize("stacked", [None, True, False])
@pytest.mark.parametrize(("rates", "clip"), [([0.001, 10.0, 0.001], None), ([0.05, 1e30, 0.05], 1.0)])
def test_one_bad_rate_stops_one_member_and_is_told_once(stacked, rates, clip, caplog):
    ens = HatchEnsemble(perceptrons(), task="regression")
    found = ens.fit(wide_range(), epochs=2, lr=rates, loss=F.mse_loss, stacked=stacked, grad_clip=clip)
    assert list(found.stopped) == [1]
    assert [message[:21] for message in told(caplog)] == ["members[1] is stopped"]
    alone = HatchEnsemble(perceptrons()[:1], task="regression")
    alone.fit(wide_range(), epochs=2, lr=rates[0], loss=F.mse_loss, grad_clip=clip)
    assert far_apart(states(ens)[:1], states(alone)) <= 1e-6  # measured: 3e-8
    assert far_apart(states(ens)[:1], states(HatchEnsemble(perceptrons()[:1]))) > 1e-3


@pytest.mark.parametrize("optimizer", [torch.optim.SGD, partial(torch.optim.Adam, weight_decay=0.1), Padam])
def test_a_timed_step_leaves_the_weights_and_tells_nothing(optimizer, caplog):
    members = perceptrons()
    with torch.no_grad():
        members[1][4].weight.fill_(float("nan"))
    before = states(HatchEnsemble(members))
    batch = next(iter(wide_range().epoch(0)))
    manner = Manner(optimizer, 1, 10.0, loss=F.mse_loss)
    for name in ("loop", "stacked"):
        execution = build(name, members, batch[0])
        step = _step(execution, batch, manner, Compute("cpu"), 10.0, separate=False)
        for _ in range(20):
            step()
        execution.write_back()
        assert far_apart([before[0], before[2]], [states(HatchEnsemble(members))[k] for k in (0, 2)]) == 0
    assert told(caplog) == []


def test_when_all_members_break_the_training_ends():
    ens = ensemble()
    with torch.no_grad():
        for member in ens.members:
            member[3].weight.fill_(float("nan"))
    with pytest.raises(TrainingError, match="all 3 members"):
        ens.fit(loader(), epochs=1, stacked=False)


def test_an_own_loop_is_called_for_each_member():
    ens, calls = ensemble(), []

    def train_one(model, member):
        calls.append((member, model.training))
        optimizer = torch.optim.SGD(model.parameters(), lr=0.05)
        for x, y in loader(member).epoch(len(calls)):
            optimizer.zero_grad()
            loss = F.cross_entropy(model(x), y)
            loss.backward()
            optimizer.step()
        return loss.detach() if member != 1 or len(calls) < 4 else math.nan

    found = ens.fit(train_one, epochs=3)
    assert [member for member, _ in calls] == [0, 1, 2, 0, 1, 2, 0, 2]
    assert all(training for _, training in calls)
    assert found.stopped == {1: "its loss became nan"}
    assert len(ens) == 2
    assert not ens.members[0].training


def test_members_of_different_widths_go_through_the_loop():
    torch.manual_seed(0)
    ens = hatch(network(), XY[0][:1], 3, widths="varied", factor=2.0)
    found = ens.fit(loader(), epochs=4)
    assert found.choice.name == "loop"
    assert "different architectures" in found.choice.reason
    assert accuracy(ens) > 0.8


def test_an_optimizer_that_mixes_elements_goes_through_the_loop():
    class Mixed(torch.optim.SGD):
        pass

    found = ensemble().fit(loader(), optimizer=Mixed)
    assert found.choice.name == "loop"
    assert "mix the elements" in found.choice.reason


def test_a_killed_run_goes_on_from_its_checkpoint(tmp_path):
    whole, parts = ensemble(), ensemble()
    whole.fit(loader(), epochs=6, folder=tmp_path / "whole")

    class Killed(Exception):
        pass

    class Dies:
        def __init__(self, inner, at):
            self.inner, self.at = inner, at

        def __len__(self):
            return len(self.inner)

        def epoch(self, index, start=0, rank=0, world=1):
            if index == self.at:
                raise Killed
            yield from self.inner.epoch(index, start, rank, world)

    with pytest.raises(Killed):
        parts.fit(Dies(loader(), 3), epochs=6, folder=tmp_path / "parts")
    fresh = ensemble()
    noted = tmp_path / "parts" / "execution.json"
    assert noted.exists()
    same = (tmp_path / "whole" / "execution.json").read_text() == noted.read_text()
    fresh.fit(loader(), epochs=6, folder=tmp_path / "parts")
    assert far_apart(states(whole), states(fresh)) <= (1e-5 if not same else 1e-6)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"epochs": 0}, "`epochs`"),
        ({"lr": 0}, "`lr` must be a positive number"),
        ({"lr": [0.1]}, "`lr` must be a positive number, or 3 of them"),
    ],
)
def test_arguments_out_of_range_are_refused(options, message):
    with pytest.raises(InputError, match=message):
        ensemble().fit(loader(), **options)


def test_loaders_that_give_nothing_or_unequal_batches_are_refused():
    with pytest.raises(InputError, match="gave no batch"):
        ensemble().fit(Empty(), epochs=1)
    with pytest.raises(InputError, match="one length"):
        ensemble().fit([loader(), loader(), ArrayLoader(XY, batch_size=8)], epochs=1)


class Empty:
    def __len__(self):
        return 0

    def __iter__(self):
        return iter(())


RANKS = """
import torch
from tests.unit.ensemble.training.test_fit import ensemble, loader, states, far_apart
import torch.distributed as dist
ens = ensemble()
found = ens.fit(loader(), epochs=3, stacked=False)
alone = ensemble()
from linnet.ensemble.training.fitting import Manner, _fit_own
from linnet.engine import Compute, Ranks
manner = Manner(lambda p, lr: torch.optim.SGD(p, lr=lr, momentum=0.9), 3, 0.05, stacked=False)
_fit_own(list(alone.members), [0, 1, 2], [0.05] * 3, loader(), manner, Compute("cpu"), Ranks())
assert far_apart(states(ens), states(alone)) <= 1e-6, far_apart(states(ens), states(alone))
assert found.members == 3
print("rank", dist.get_rank(), "has all members")
"""


@pytest.mark.slow
def test_the_members_are_spread_over_the_ranks(tmp_path):
    script = tmp_path / "ranks.py"
    script.write_text(RANKS)
    assert forked.run_on_ranks(script, tmp_path).count("has all members") == 2


def test_a_list_of_loaders_needs_one_for_each_member():
    with pytest.raises(InputError, match=r"`source` .* list of 3.*got a list of 1.*ArrayLoader"):
        ensemble().fit([XY], epochs=1, lr=0.1)


def test_values_have_no_prediction_sets():
    ens = HatchEnsemble([nn.Linear(4, 1) for _ in range(2)], task="regression")
    with pytest.raises(InputError, match=r"`task` must give classes .*'regression'.*variance"):
        ens.conformalize((torch.zeros(2, 8, 1), torch.zeros(8, 1)))
