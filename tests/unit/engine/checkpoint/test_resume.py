"""A run that was killed, stopped or interrupted goes on to the bits of the run that never was."""

import os
import random
import signal
import subprocess
import time

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from linnet.engine import Average, EarlyStop, Listener, Schedule, load_latest
from linnet.engine.checkpoint.checkpoint import list_checkpoints
from linnet.engine.files import tensor_bytes
from linnet.errors import CheckpointError
from tests.unit.engine.small import (
    OPTIMIZERS,
    Classify,
    StopAt,
    assert_equal_runs,
    assert_equal_states,
    network,
    python,
    shuffled,
    train,
)


@pytest.fixture(scope="module")
def trainer():
    """A process that trains in children of its own: see killed.py."""
    process = python("-m", "tests.unit.engine.checkpoint.killed", stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    yield process
    process.communicate()
    assert process.returncode == 0


def train_outside(trainer, *words, kill_at=None):
    """Trains in a child process; returns (its exit code, the steps it made)."""
    print(*words, kill_at is not None, file=trainer.stdin, flush=True)
    steps = pid = 0
    for kind, number in map(str.split, trainer.stdout):
        if kind == "exit":
            return int(number), steps
        if kind == "pid":
            pid = int(number)
            continue
        steps += 1
        if kill_at and int(number) >= kill_at:
            time.sleep(random.random() * 0.01)
            os.kill(pid, signal.SIGKILL)
            kill_at = None
    raise AssertionError("the training process has ended")


@pytest.mark.slow
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_killed_at_random_steps_it_ends_with_the_same_bits(tmp_path, optimizer, trainer):
    folder, out = tmp_path / "run", tmp_path / "out.safetensors"
    first, second = sorted(random.sample(range(1, 28), 2))  # of 30 steps
    assert train_outside(trainer, folder, optimizer, out, kill_at=first)[0] == -signal.SIGKILL
    assert train_outside(trainer, folder, optimizer, out, kill_at=second)[0] == -signal.SIGKILL
    assert not out.exists()
    assert train_outside(trainer, folder, optimizer, out)[0] == 0
    whole = train(optimizer=optimizer, epochs=6)
    expected = whole.model.state_dict() | {f"average.{k}": v for k, v in whole.averaged.items()}
    assert_equal_states(load_file(out), expected)


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("stop_at", [1, 5, 12])
def test_stopped_and_resumed_is_never_stopped(tmp_path, optimizer, stop_at):
    first = train(tmp_path, optimizer=optimizer, listeners=[StopAt(stop_at)])
    assert first.steps == stop_at
    assert_equal_runs(train(tmp_path, optimizer=optimizer), train(optimizer=optimizer))


def test_a_finished_run_gives_the_same_result_again_without_training(tmp_path):
    class Fails(Listener):
        def on_step(self, run):
            raise AssertionError("there is nothing to do")

    first = train(tmp_path)
    assert_equal_runs(train(tmp_path, listeners=[Fails()]), first)


def test_more_epochs_prolong_a_finished_run(tmp_path):
    constant = Schedule("constant")
    train(tmp_path, epochs=2, schedule=constant)
    assert_equal_runs(train(tmp_path, epochs=4, schedule=constant), train(epochs=4, schedule=constant))
    with pytest.raises(CheckpointError, match=r"\b4\b.*resume=False"):
        train(tmp_path, epochs=3, schedule=constant)


def test_a_stretched_schedule_is_warned_of(tmp_path, caplog):
    train(tmp_path, epochs=2)
    train(tmp_path, epochs=3)
    assert "schedule" in caplog.text


def test_without_resume_it_starts_anew(tmp_path):
    train(tmp_path, listeners=[StopAt(9)])
    (tmp_path / "mine.txt").write_text("kept")
    steps = []

    class Count(Listener):
        def on_step(self, run):
            steps.append(run.step)

    assert_equal_runs(train(tmp_path, resume=False, listeners=[Count()], optimizer="adam"), train(optimizer="adam"))
    assert steps[0] == 1
    assert (tmp_path / "mine.txt").exists()


class Wide(torch.nn.Sequential):
    pass


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"optimizer": "adam"}, "'SGD'.*'Adam'"),
        ({"rng_seed": 8}, "`rng_seed`.*7.*8"),
        ({"model": network(norm=False)}, r"`1\.bias`"),
        ({"model": network().double()}, r"`0\.bias`.*float64"),
        ({"model": Wide(*network())}, "`model`.*'Sequential'.*'Wide'"),
        ({"schedule": Schedule("linear")}, "`schedule.name`.*'cosine'.*'linear'"),
        ({"grad_clip": None}, r"`grad_clip`.*1\.0.*None"),
        ({"average": None}, "`average`.*None"),
        ({"average": Average(0.5)}, r"`average.decay`.*0\.9.*0\.5"),
        ({"loader": shuffled(10)}, "`batches.per.epoch`.*5.*4"),
    ],
)
def test_another_runs_folder_is_refused_and_left_as_it_is(tmp_path, change, match):
    train(tmp_path, epochs=1)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    with pytest.raises(CheckpointError, match=match) as error:
        train(tmp_path, **change)
    assert "resume=False" in str(error.value)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_another_learning_rate_and_momentum_are_both_named(tmp_path):
    train(tmp_path, epochs=1)
    model = network()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.2, momentum=0.8, weight_decay=1e-3)
    with pytest.raises(CheckpointError, match=r"momentum`.*0\.9.*0\.8") as error:
        train(tmp_path, model=model, optimizer=optimizer)
    assert "[0.2]" in str(error.value)


@pytest.mark.parametrize("damage", ["cut", "empty", "flipped", "foreign", "folder"])
def test_a_damaged_checkpoint_is_warned_of_and_the_one_before_is_used(tmp_path, caplog, damage):
    train(tmp_path, listeners=[StopAt(13)], checkpoint_every=3)
    newest = list_checkpoints(tmp_path)[-1]
    content = newest.read_bytes()
    newest.unlink()
    if damage == "folder":
        newest.mkdir()
    elif damage == "foreign":
        save_file({"x": torch.zeros(3)}, newest)
    else:
        flipped = bytearray(content)
        flipped[len(content) // 2] ^= 1
        newest.write_bytes({"cut": content[: len(content) // 2], "empty": b"", "flipped": bytes(flipped)}[damage])
    if damage == "folder":
        assert load_latest(tmp_path).step == 12
    else:
        assert_equal_runs(train(tmp_path), train())
    assert newest.name in caplog.text
    assert "before" in caplog.text


def test_when_no_checkpoint_can_be_used_it_says_so(tmp_path):
    train(tmp_path, epochs=1)
    for path in tmp_path.iterdir():
        path.write_bytes(b"")
    with pytest.raises(CheckpointError, match="resume=False") as error:
        train(tmp_path)
    assert str(error.value).count("checkpoint-0000") == 2


class Interrupted(Classify):
    """Raises KeyboardInterrupt in the loss of one step, or sends a signal: that of Ctrl-C, or another."""

    def __init__(self, call, *, by_signal, signal_sent=signal.SIGINT):
        self.left = call
        self.by_signal, self.signal_sent = by_signal, signal_sent

    def loss(self, model, batch):
        self.left -= 1
        if self.left < 0 and self.by_signal:
            os.kill(os.getpid(), self.signal_sent)
        elif self.left < 0:
            raise KeyboardInterrupt
        return super().loss(model, batch)


@pytest.fixture
def sigint_interrupts():
    """Ctrl-C raises KeyboardInterrupt, also where the tests were started in the background, which ignores it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("sigint_interrupts")
@pytest.mark.parametrize(("by_signal", "step"), [(True, 8), (False, 7)])
def test_ctrl_c_saves_the_last_whole_update_and_tells_how_to_go_on(tmp_path, by_signal, step):
    with pytest.raises(KeyboardInterrupt, match=rf"\b{step} of 20"):
        train(tmp_path, task=Interrupted(7, by_signal=by_signal))
    assert list_checkpoints(tmp_path)[-1].name == f"checkpoint-{step:08d}.safetensors"
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    assert_equal_runs(train(tmp_path), train())


def test_sigterm_saves_as_ctrl_c_does(tmp_path):
    """As Slurm and Kubernetes send it."""
    with pytest.raises(KeyboardInterrupt, match=r"\b8 of 20"):
        train(tmp_path, task=Interrupted(7, by_signal=True, signal_sent=signal.SIGTERM))
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
    assert_equal_runs(train(tmp_path), train())


@pytest.mark.parametrize("event", ["on_gradients", "on_step", "on_epoch"])
def test_an_interrupt_in_any_event_is_resumed_exactly(tmp_path, event):
    class Stop(Listener):
        pass

    def interrupt(self, run):
        if run.step >= 5:
            raise KeyboardInterrupt

    setattr(Stop, event, interrupt)
    with pytest.raises(KeyboardInterrupt, match=r"\b5 of 20"):
        train(tmp_path, listeners=[Stop()])
    assert_equal_runs(train(tmp_path), train())


def test_an_interrupt_in_the_middle_of_an_update_saves_nothing(tmp_path):
    class Half(torch.optim.SGD):
        def step(self, closure=None):
            super().step(closure)
            raise KeyboardInterrupt

    model = network()
    optimizer = Half(model.parameters(), lr=0.1)
    with pytest.raises(KeyboardInterrupt, match=r"\b0 of 20"):
        train(tmp_path, model=model, optimizer=optimizer)
    assert [path.name for path in list_checkpoints(tmp_path)] == ["checkpoint-00000000.safetensors"]


def test_an_interrupt_in_validation_validates_again(tmp_path):
    class Stops(Classify):
        def validate(self, model, compute):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt, match=r"\b5 of 20"):
        train(tmp_path, task=Stops())
    assert_equal_runs(train(tmp_path), train())


def test_a_full_disk_ends_the_run_and_keeps_the_last_checkpoint(tmp_path, monkeypatch):
    write = tensor_bytes.write

    def full(path, tensors, content):
        if "00000006" in path.name:
            path.write_bytes(bytes(100))
            raise OSError(28, "No space left on device")
        write(path, tensors, content)

    monkeypatch.setattr(tensor_bytes, "write", full)
    with pytest.raises(CheckpointError, match="No space left on device"):
        train(tmp_path, checkpoint_every=3)
    monkeypatch.undo()
    assert [path.name for path in sorted(tmp_path.iterdir())] == [
        "checkpoint-00000000.safetensors",
        "checkpoint-00000003.safetensors",
    ]
    assert_equal_runs(train(tmp_path), train())


def test_an_unwritable_folder_is_known_before_the_first_update(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(CheckpointError, match="folder"):
        train(tmp_path / "file" / "run", task=Interrupted(0, by_signal=False))


def test_early_stop_restores_the_best_epoch_and_is_resumed_exactly(tmp_path):
    scores = [0.1, 0.5, 0.3, 0.2, 0.9, 0.8]

    class Scored(Classify):
        def validate(self, model, compute):
            self.calls = getattr(self, "calls", 0) + 1
            return {"score": scores[round(model[1].num_batches_tracked.item() / 5) - 1]}

    stop = EarlyStop("score", patience=2)
    whole = train(task=Scored(), early_stop=stop, epochs=6)
    assert (whole.epochs, whole.best.epoch, whole.best.value) == (4, 1, 0.5)
    assert whole.stopped_because.startswith("early stop: `score` was no better than 0.5 of epoch 1 for 2 epochs")
    assert_equal_states(whole.averaged, train(epochs=6, listeners=[StopAt(10)]).averaged)

    train(tmp_path, task=Scored(), early_stop=stop, epochs=6, listeners=[StopAt(17)])
    resumed = train(tmp_path, task=Scored(), early_stop=stop, epochs=6)
    assert_equal_runs(resumed, whole)
    task = Scored()
    again = train(tmp_path, task=task, early_stop=stop, epochs=6)
    assert_equal_runs(again, whole)
    assert (again.best, again.stopped_because) == (whole.best, whole.stopped_because)
    assert not hasattr(task, "calls")
    patient = train(tmp_path, task=Scored(), early_stop=EarlyStop("score", patience=3), epochs=6)
    assert (patient.epochs, patient.best.epoch) == (6, 4)


def test_a_listeners_state_is_kept(tmp_path):
    class Remember(Listener):
        def __init__(self):
            self.seen, self.total = [], torch.zeros(2)

        def on_step(self, run):
            self.seen.append(run.step)
            self.total += run.loss

        def state_dict(self):
            return {"seen": self.seen, "total": self.total, 3: (math_inf, None)}

        def load_state_dict(self, state):
            assert state[3] == (math_inf, None)
            self.seen, self.total = state["seen"], state["total"]

    math_inf = float("inf")
    whole, first, second = Remember(), Remember(), Remember()
    train(listeners=[whole])
    train(tmp_path, listeners=[first, StopAt(7)])
    train(tmp_path, listeners=[StopAt(99), second])
    assert second.seen == whole.seen == list(range(1, 21))
    assert torch.equal(second.total, whole.total)


class Fixed(list):
    """A Loader that seeds nothing, so that dropout's random numbers are `fit`'s own doing."""

    def epoch(self, index, start=0, rank=0, world=1):
        yield from self[start:]


def test_dropout_is_resumed_exactly_with_a_loader_that_seeds_nothing(tmp_path):
    batches = Fixed(shuffled())
    whole = train(loader=batches)
    torch.rand(5)
    train(tmp_path, loader=batches, listeners=[StopAt(8)])
    assert_equal_runs(train(tmp_path, loader=batches), whole)


def test_an_order_that_is_drawn_at_once_is_resumed_exactly(tmp_path):
    class Eager(list):
        def __iter__(self):
            return iter([self[index] for index in torch.randperm(len(self))])

    batches = Eager(shuffled())
    whole = train(loader=batches)
    train(tmp_path, loader=batches, listeners=[StopAt(8)])
    assert_equal_runs(train(tmp_path, loader=batches), whole)


def test_a_numpy_shuffled_iterable_is_resumed_exactly(tmp_path):
    class Shuffled(list):
        def __iter__(self):
            for index in np.random.permutation(len(self)):  # noqa: NPY002  the global generator is what is tested
                yield self[index]

    batches = Shuffled(shuffled())
    train(tmp_path, loader=batches, listeners=[StopAt(8)])
    assert_equal_runs(train(tmp_path, loader=batches), train(loader=batches))


def test_equal_states_are_told_from_unequal_ones():
    ours, theirs = network().state_dict(), network().state_dict()
    assert_equal_states(ours, theirs)
    theirs["0.bias"][3] += 1e-7
    with pytest.raises(AssertionError):
        assert_equal_states(ours, theirs)
