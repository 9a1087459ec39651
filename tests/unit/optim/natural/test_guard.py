"""The guard: the mean of ten losses beside the start."""

from linnet.errors import TrainingError
from linnet.optim.natural.guard import Guard


def _run(losses, *, most=10.0, at_zero=1.0, guard=None):
    guard = Guard() if guard is None else guard
    for count, loss in enumerate(losses, 1):
        try:
            guard.check(loss, at_zero, most=most)
        except TrainingError:
            return count
    return None


def test_one_bad_batch_stops_nothing_and_ten_do():
    assert _run([1.0] * 10 + [80.0] + [1.0] * 20) is None
    assert _run([1.0] * 10 + [80.0] * 20) == 12  # (8 * 1 + 2 * 80) / 10 is the first mean above 10


def test_the_start_of_a_network_that_fits_already_is_that_of_outputs_zero():
    assert _run([1e-6] * 10 + [1.0] * 30) is None
    assert _run([1e-6] * 10 + [1.0] * 30, at_zero=1e-6) is not None


def test_none_turns_it_off_and_fewer_than_ten_losses_say_nothing():
    assert _run([1.0] + [1e9] * 40, most=None) is None
    assert _run([1.0] + [1e9] * 8) is None


def test_a_resumed_guard_goes_on():
    whole, parts = Guard(), Guard()
    losses = [1.0] * 6 + [60.0] * 6
    stopped = _run(losses, guard=whole)
    assert stopped is not None
    assert _run(losses[:5], guard=parts) is None
    again = Guard()
    again.load(parts.state())
    assert _run(losses[5:], guard=again) == stopped - 5
