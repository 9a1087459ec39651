import logging
import math

import pytest
import torch
from torch import nn

from linnet.engine import Average, Compute, Listener, Schedule, fit
from linnet.errors import InputError, NonFiniteLoss, TrainingError
from tests.unit.engine.small import Classify, StopAt, assert_equal_runs, assert_equal_states, network, shuffled, train


class Line:
    """Fits y = w x; the gradients can be written down."""

    def loss(self, model, batch):
        x, y = batch
        return ((model(x) - y) ** 2).mean(), {}

    def validate(self, model, compute):
        return {}


def line(weight=0.0):
    model = nn.Linear(1, 1, bias=False)
    nn.init.constant_(model.weight, weight)
    return model


def test_two_updates_are_those_done_by_hand():
    # loss (w - 1)^2 at x = 1, y = 1: w <- w - lr 2 (w - 1) = 0.2, then 0.36
    model = line()
    batch = (torch.ones(1, 1), torch.ones(1, 1))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    result = fit(model, Line(), [batch, batch], optimizer=optimizer, epochs=1, progress="off")
    assert result.model is model
    assert model.weight.item() == pytest.approx(0.36)
    assert result.history[0].loss == pytest.approx((1.0 + 0.64) / 2)
    assert (result.steps, result.epochs, result.stopped_because) == (2, 1, "all epochs are done")


def test_it_does_what_the_plain_loop_does():
    ours, plain = network(dropout=0.0), network(dropout=0.0)
    batches = list(shuffled())
    optimizer = torch.optim.AdamW(ours.parameters(), lr=0.01)
    fit(ours, Classify(), batches, optimizer=optimizer, epochs=2, progress="off")
    optimizer = torch.optim.AdamW(plain.parameters(), lr=0.01)
    for _ in range(2):
        for x, y in batches:
            optimizer.zero_grad()
            nn.functional.cross_entropy(plain(x), y).backward()
            optimizer.step()
    assert_equal_states(ours.state_dict(), plain.state_dict())


def test_the_schedule_multiplies_every_groups_rate_which_comes_back():
    model = network()
    groups = [{"params": model[0].parameters(), "lr": 1.0}, {"params": model[4].parameters(), "lr": 0.5}]
    optimizer = torch.optim.SGD(groups)
    seen = []

    class Rates(Listener):
        def on_gradients(self, run):
            seen.append([group["lr"] for group in run.optimizer.param_groups])

    fit(
        model,
        Classify(),
        shuffled(),
        optimizer=optimizer,
        epochs=2,
        schedule=Schedule("linear", warmup_steps=2),
        listeners=[Rates()],
        progress="off",
    )
    assert [rates[0] for rates in seen] == pytest.approx([0.5, 1, 1, 0.875, 0.75, 0.625, 0.5, 0.375, 0.25, 0.125])
    assert [rates[1] for rates in seen] == pytest.approx([rate / 2 for rate, _ in seen])
    assert [group["lr"] for group in optimizer.param_groups] == [1.0, 0.5]


def test_gradients_are_clipped_together_after_listeners_saw_them():
    model = line()
    seen = []

    class Norm(Listener):
        def on_gradients(self, run):
            seen.append(float(model.weight.grad))

    batch = (torch.ones(1, 1), torch.full((1, 1), 100.0))
    optimizer = torch.optim.SGD(model.parameters(), lr=1.0)
    fit(model, Line(), [batch], optimizer=optimizer, epochs=1, grad_clip=3.0, listeners=[Norm()], progress="off")
    assert seen == [-200.0]
    assert model.weight.item() == pytest.approx(3.0)


def test_events_come_in_order_with_what_they_promise():
    heard = []

    class Hear(Listener):
        def on_start(self, run):
            heard.append(("start", run.step, run.steps_total))

        def on_gradients(self, run):
            heard.append(("gradients", run.step, run.batch))

        def on_step(self, run):
            heard.append(("step", run.step, run.batch, math.isfinite(run.loss), list(run.metrics)))

        def on_epoch(self, run):
            heard.append(("epoch", run.epoch, run.history[-1].epoch, list(run.history[-1].validation)))

        def on_end(self, run):
            heard.append(("end", run.step))

    train(listeners=[Hear()], epochs=2, loader=list(shuffled(20)))
    batch = [("gradients", 0, 0), ("step", 1, 1, True, ["accuracy"]), ("gradients", 1, 1)]
    batch += [("step", 2, 2, True, ["accuracy"]), ("epoch", 1, 0, ["score"])]
    assert heard[:6] == [("start", 0, 4), *batch]
    assert [event[0] for event in heard[6:]] == ["gradients", "step", "gradients", "step", "epoch", "end"]


def test_on_end_comes_also_after_an_error():
    ended = []

    class Fails(Listener):
        def on_step(self, run):
            raise ZeroDivisionError

        def on_end(self, run):
            ended.append("first")

    class Second(Listener):
        def on_end(self, run):
            ended.append("second")

    with pytest.raises(ZeroDivisionError):
        train(listeners=[Fails(), Second()])
    assert sorted(ended) == ["first", "second"]


def test_a_listener_can_stop_the_run():
    result = train(listeners=[StopAt(7)])
    assert (result.steps, result.epochs, result.stopped_because) == (7, 1, "it was asked for")
    assert len(result.history) == 1


def test_the_callers_random_numbers_are_untouched_and_do_not_matter():
    torch.manual_seed(3)
    expected = torch.rand(2)
    torch.manual_seed(3)
    first = train()
    assert torch.equal(torch.rand(2), expected)
    assert_equal_runs(train(), first)
    assert not torch.equal(train(rng_seed=8).model[0].weight, first.model[0].weight)


def test_modules_that_a_listener_froze_stay_frozen():
    class Freeze(Listener):
        def on_start(self, run):
            run.model[1].eval()

        def on_gradients(self, run):
            assert run.model.training
            assert not run.model[1].training

    result = train(listeners=[Freeze()])
    assert torch.equal(result.model[1].running_mean, torch.zeros(8))
    assert not result.model.training


def test_averaged_weights_are_validated_and_returned():
    result = train(average=Average(0.5, warmup=False))
    sums = [float(sum(result.averaged[name].sum() for name, _ in result.model.named_parameters()))]
    assert result.history[-1].validation["score"] == pytest.approx(sums[0], rel=1e-5)
    plain = train(average=None)
    assert_equal_states(plain.model.state_dict(), result.model.state_dict())
    assert plain.averaged is None


class Breaks(Classify):
    """Gives NaN at one call."""

    def __init__(self, call):
        self.left = call

    def loss(self, model, batch):
        loss, metrics = super().loss(model, batch)
        self.left -= 1
        return (loss * math.nan if self.left < 0 else loss), metrics


@pytest.mark.parametrize("grad_clip", [None, 1.0])
def test_a_nan_loss_stops_before_the_update_with_the_batch_named(tmp_path, grad_clip):
    model = network()
    with pytest.raises(NonFiniteLoss, match=r"loss.*epoch 1, batch 2 \(step 7\)"):
        train(tmp_path, model=model, task=Breaks(7), checkpoint_every=3, grad_clip=grad_clip)
    good = train(listeners=[StopAt(7)], grad_clip=grad_clip)
    weights = dict(model.named_parameters())
    assert_equal_states(weights, dict(good.model.named_parameters()))
    assert [path.name for path in sorted(tmp_path.iterdir())] == [
        "checkpoint-00000003.safetensors",
        "checkpoint-00000006.safetensors",
    ]
    assert_equal_runs(train(tmp_path, grad_clip=grad_clip), train(grad_clip=grad_clip))


def test_infinite_gradients_under_a_finite_loss_are_never_kept(tmp_path):
    class Root(Line):
        def loss(self, model, batch):
            return (model(batch[0]) * 0).abs().sqrt().sum() + 1, {}

    batches = [(torch.ones(1, 1), torch.ones(1, 1))]
    model = line(1.0)
    optimizer = torch.optim.SGD(model.parameters(), lr=1.0)
    with pytest.raises(NonFiniteLoss, match="`weight`"):
        fit(model, Root(), batches, optimizer=optimizer, epochs=1, folder=tmp_path, progress="off")
    assert [path.name for path in tmp_path.iterdir()] == ["checkpoint-00000000.safetensors"]
    model = line(1.0)
    optimizer = torch.optim.SGD(model.parameters(), lr=1.0)
    with pytest.raises(NonFiniteLoss, match=r"gradient norm.*epoch 0, batch 0"):
        fit(model, Root(), batches, optimizer=optimizer, epochs=1, grad_clip=1.0, progress="off")
    assert model.weight.item() == 1.0


@pytest.mark.parametrize(
    ("options", "error", "match"),
    [
        ({"epochs": 0}, InputError, "`epochs`"),
        ({"grad_clip": 0.0}, InputError, "`grad_clip`"),
        ({"keep": 0}, InputError, "`keep`"),
        ({"checkpoint_every": 0}, InputError, "`checkpoint_every`"),
        ({"progress": "loud"}, InputError, "`progress`"),
        ({"loader": []}, TrainingError, "loader"),
        ({"loader": (batch for batch in [])}, InputError, "`loader`.*generator"),
        ({"optimizer": torch.optim.SGD([torch.zeros(2, 3)], lr=1.0)}, TrainingError, r"\(2, 3\)"),
    ],
)
def test_what_cannot_be_trained_is_refused(options, error, match):
    with pytest.raises(error, match=match):
        train(**options)


@pytest.mark.parametrize(
    ("loss", "match"),
    [
        (lambda z: (3.0, {}), "loss.*float"),
        (lambda z: (z.sum(1), {}), r"loss.*\(8,\)"),
        (lambda z: (z.sum().detach(), {}), r"loss.*\(\)"),
        (lambda z: (z.sum(), {"each": z.detach()[:, 0]}), "`each`"),
    ],
)
def test_a_loss_that_is_no_scalar_is_refused(loss, match):
    class Wrong(Classify):
        def loss(self, model, batch):
            return loss(model(batch[0]))

    with pytest.raises(TrainingError, match=match):
        train(task=Wrong())


def test_a_loader_that_is_shorter_than_it_says_is_refused():
    class Short(list):
        def __len__(self):
            return 9

    with pytest.raises(TrainingError, match="5 batches"):
        train(loader=Short(shuffled()))


def test_bfloat16_trains_with_float32_weights():
    dtypes = set()

    class Sees(Classify):
        def loss(self, model, batch):
            dtypes.add(model(batch[0]).dtype)
            return super().loss(model, batch)

    result = train(task=Sees(), compute=Compute("cpu", "bfloat16"), epochs=6)
    assert dtypes == {torch.bfloat16}
    assert result.model[0].weight.dtype == torch.float32
    assert result.history[-1].loss < result.history[0].loss


def test_a_float16_step_that_overflows_is_skipped_and_seen():
    seen = []

    class Sees(Listener):
        def on_step(self, run):
            seen.append((run.skipped, run.model[0].weight.detach().clone()))

    model = network(dropout=0.0)
    before = model[0].weight.detach().clone()
    train(model=model, compute=Compute("cpu", "float16"), listeners=[Sees(), Overflow({0, 3})], epochs=2, average=None)
    assert [skipped for skipped, _ in seen] == [True, False, False, True] + [False] * 6
    assert torch.equal(seen[0][1], before)
    assert torch.equal(seen[3][1], seen[2][1])
    assert not torch.equal(seen[4][1], seen[3][1])


def test_a_skipped_step_is_not_averaged():
    batch = (torch.ones(4, 1), torch.full((4, 1), 0.1))  # gradient -0.2; times 65536 it fits float16
    model = nn.Sequential(line())
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    result = fit(
        model,
        Line(),
        [batch, batch],
        optimizer=optimizer,
        epochs=1,
        compute=Compute("cpu", "float16"),
        average=Average(0.5, warmup=False),
        listeners=[Overflow({1})],
        progress="off",
    )
    assert model[0].weight.item() == pytest.approx(0.02, abs=1e-4)
    assert result.averaged["0.weight"].item() == pytest.approx(0.01, abs=1e-4)  # 0.015 if the second were averaged


class Overflow(Listener):
    """Makes the scaled gradients of some steps infinite, as a too large scale does."""

    def __init__(self, steps):
        self.steps = steps
        self.hook = None

    def on_start(self, run):
        def overflow(gradient):
            return gradient * math.inf if run.step in self.steps else gradient

        self.hook = run.model[0].weight.register_hook(overflow)

    def on_end(self, run):
        self.hook.remove()


def test_epochs_are_logged_when_not_on_a_terminal(caplog):
    with caplog.at_level(logging.INFO, logger="linnet"):
        train(progress="auto", epochs=2)
    assert len(caplog.messages) == 2
    assert caplog.messages[1].startswith("epoch 2/2  loss 1.")
    assert "val score" in caplog.messages[1]
