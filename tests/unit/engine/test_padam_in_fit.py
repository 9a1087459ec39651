"""Padam in the training loop: exact resume, a p that moves, gradients that gather over several batches."""

import pytest
import torch
from torch import nn

from linnet.engine import GroupSchedule, Listener, Schedule
from linnet.optim import Padam
from tests.unit.engine.small import StopAt, assert_equal_runs, assert_equal_states, images, network, train


def padam(model, **options):
    return Padam(model.parameters(), **{"lr": 0.1, "p": 0.25, "weight_decay": 1e-3, **options})


def trained(folder=None, *, listeners=(), options=None, **more):
    model = network()
    return train(folder, model=model, optimizer=padam(model, **(options or {})), listeners=list(listeners), **more)


@pytest.mark.parametrize("stop_at", [1, 5, 12])
@pytest.mark.parametrize(
    "options", [{}, {"bias_correction": "none", "amsgrad": False}, {"impl": "blocked", "decoupled": True}]
)
def test_stopped_and_resumed_is_never_stopped(tmp_path, stop_at, options):
    first = trained(tmp_path, listeners=[StopAt(stop_at)], options=options)
    assert first.steps == stop_at
    assert_equal_runs(trained(tmp_path, options=options), trained(options=options))


@pytest.mark.parametrize("shape", ["linear", "step"])
def test_a_moving_p_goes_on_exactly(tmp_path, shape):
    def moving():
        return GroupSchedule("p", 0.25, 0.0, shape, lr_gain=100.0)

    trained(tmp_path, listeners=[StopAt(7), moving()])
    assert_equal_runs(trained(tmp_path, listeners=[moving()]), trained(listeners=[moving()]))


class Before(Listener):
    """Keeps the weights, the momentum and the gradient before each update, and the weights after it."""

    def __init__(self):
        self.kept = []

    def on_gradients(self, run):
        weight = next(run.model.parameters())
        held = run.optimizer.state.get(weight, {})
        m = held["exp_avg"].clone() if held else torch.zeros_like(weight)
        self.kept.append([weight.detach().clone(), m, weight.grad.clone()])

    def on_step(self, run):
        self.kept[-1].append(next(run.model.parameters()).detach().clone())


def test_the_updates_after_p_has_stepped_to_0_are_those_of_momentum_alone():
    before = Before()
    options = {"weight_decay": 0.0, "bias_correction": "none"}
    trained(
        listeners=[GroupSchedule("p", 0.25, 0.0, "step", lr_gain=16.0), before],
        options=options, epochs=2, schedule=Schedule("constant"), average=None, grad_clip=None,
    )  # fmt: skip
    assert len(before.kept) == 10
    for weight, m, gradient, after in before.kept[5:]:
        expected = weight - 0.1 * 16**0.25 * (0.9 * m + 0.1 * gradient)
        torch.testing.assert_close(after, expected, rtol=1e-5, atol=1e-7)
    weight, m, gradient, after = before.kept[3]
    assert not torch.allclose(after, weight - 0.1 * (0.9 * m + 0.1 * gradient), rtol=1e-3)


def test_gradients_of_two_halves_gathered_are_those_of_the_whole_batch():
    x, y = images(16)

    def stepped(parts):
        model = network(dropout=0.0, norm=False).double()
        optimizer = padam(model)
        for _ in range(5):
            optimizer.zero_grad()
            for rows in torch.arange(16).chunk(parts):
                (nn.functional.cross_entropy(model(x[rows].double()), y[rows]) / parts).backward()
            optimizer.step()
        return model.state_dict()

    whole, halves = stepped(1), stepped(2)
    for name, tensor in whole.items():
        torch.testing.assert_close(halves[name], tensor, rtol=1e-12, atol=1e-14)


def test_two_runs_have_the_same_bits():
    assert_equal_states(trained().model.state_dict(), trained().model.state_dict())
