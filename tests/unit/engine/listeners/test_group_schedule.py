"""A value of the groups moves over the run, by the index of the update alone."""

import pytest
import torch

from linnet.engine import GroupSchedule, Listener, Schedule
from linnet.errors import CheckpointError, InputError, TrainingError
from tests.unit.engine.small import StopAt, assert_equal_runs, network, train


class Watch(Listener):
    """Notes the group's value and learning rate that each update was made with."""

    def __init__(self, key):
        self.key, self.seen = key, []

    def on_step(self, run):
        self.seen.append((run.optimizer.param_groups[0][self.key], run.optimizer.param_groups[0]["lr"]))


def decay(**options):
    return GroupSchedule("weight_decay", 0.3, 0.0, **options)


def test_values_by_hand():
    linear = GroupSchedule("p", 0.25, 0.0)
    assert [linear.value(step, 5) for step in range(5)] == [0.25, 0.1875, 0.125, 0.0625, 0.0]
    step = GroupSchedule("p", 0.25, 0.0, "step", at=0.5)
    assert [step.value(index, 5) for index in range(5)] == [0.25, 0.25, 0.0, 0.0, 0.0]
    assert GroupSchedule("p", 0.25, 0.0).value(0, 1) == 0.25  # a run of one update


def test_each_update_has_its_value_and_the_groups_get_theirs_back():
    model = network()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, weight_decay=7.0)
    watch = Watch("weight_decay")
    listeners = [decay(lr_gain=16.0), watch]
    train(model=model, optimizer=optimizer, epochs=1, schedule=Schedule("constant"), listeners=listeners)
    values, rates = zip(*watch.seen, strict=True)
    assert values == pytest.approx([0.3, 0.225, 0.15, 0.075, 0.0])
    assert rates == pytest.approx([0.1 * 16 ** (0.3 - value) for value in values])
    assert (optimizer.param_groups[0]["weight_decay"], optimizer.param_groups[0]["lr"]) == (7.0, 0.1)


@pytest.mark.parametrize("stop_at", [1, 7])
def test_stopped_and_resumed_is_never_stopped(tmp_path, stop_at):
    model = network()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, weight_decay=7.0)
    train(tmp_path, model=model, optimizer=optimizer, listeners=[StopAt(stop_at), decay()])
    model = network()
    resumed = torch.optim.SGD(model.parameters(), lr=0.1, weight_decay=7.0)
    again = train(tmp_path, model=model, optimizer=resumed, listeners=[decay()])
    assert resumed.param_groups[0]["weight_decay"] == 7.0
    model = network()
    whole = torch.optim.SGD(model.parameters(), lr=0.1, weight_decay=7.0)
    assert_equal_runs(again, train(model=model, optimizer=whole, listeners=[decay()]))


def test_another_schedule_is_not_gone_on_with(tmp_path):
    train(tmp_path, listeners=[StopAt(3), decay()])
    with pytest.raises(CheckpointError, match=r"`weight_decay`.*`at`.*0\.5.*0\.25"):
        train(tmp_path, listeners=[decay(at=0.25)])


def test_a_key_that_the_optimizer_lacks_is_refused():
    with pytest.raises(TrainingError, match=r"`p`.*momentum"):
        train(listeners=[GroupSchedule("p", 0.25, 0.0)])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"shape": "cosine"}, "`shape`"),
        ({"at": 1.0}, "`at`"),
        ({"lr_gain": 0.0}, "`lr_gain`"),
    ],
)
def test_bad_values_are_refused(options, message):
    with pytest.raises(InputError, match=message):
        decay(**options)
    with pytest.raises(InputError, match=r"`key`.*'lr'"):
        GroupSchedule("lr", 1.0, 0.0)
