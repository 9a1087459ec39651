import pytest

from linnet.errors import InputError
from linnet.prune.training.schedule import Timetable


def _phases(time, steps, *, changed=1.0, lr=1.0):
    seen = []
    for _ in range(steps):
        seen.append((time.phase, time.measures))
        time.next(changed=changed, lr=lr)
    return seen


def test_fractions_of_the_training_make_the_phases():
    phases = [phase for phase, _ in _phases(Timetable(20, 0.1, 0.5), 20)]
    assert phases == ["warmup"] * 2 + ["masked"] * 8 + ["frozen"] * 10


def test_the_first_step_the_first_mask_and_every_so_many_are_measured():
    measured = [step for step, (_, yes) in enumerate(_phases(Timetable(40, 7, 20, 5), 40)) if yes]
    assert measured == [0, 5, 6, 10, 15]


def test_the_decay_rises_to_one_before_the_freeze():
    time = Timetable(100, 10, 50)
    decays = []
    for _ in range(50):
        decays.append(time.decay(0.6))
        time.next(changed=0.0, lr=1.0)
    assert decays[:46] == [0.6] * 46
    assert decays[46:] == pytest.approx([0.68, 0.76, 0.84, 0.92])
    assert time.decay(0.6) == 1.0


def test_without_a_number_of_steps_quiet_masks_freeze():
    time = Timetable()
    phases = _phases(time, 200, changed=0.0)
    assert phases.index(("frozen", False)) == 101
    busy = Timetable()
    assert _phases(busy, 400, changed=0.01)[-1][0] == "masked"


def test_without_a_number_of_steps_a_low_rate_freezes():
    time = Timetable()
    _phases(time, 150)
    assert time.phase == "masked"
    time.next(changed=1.0, lr=0.1)
    assert time.phase == "frozen"


def test_state_there_and_back():
    time, other = Timetable(), Timetable()
    _phases(time, 130)
    other.load_state_dict(time.state_dict())
    assert other.state_dict() == time.state_dict()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"steps": 1}, "`steps`"),
        ({"steps": "10"}, "`steps`.*'10'"),
        ({"every": 0}, "`every`"),
        ({"warmup": -1}, "`warmup`"),
        ({"freeze": 1.5}, r"`freeze`.*1\.5"),
        ({"steps": 100, "warmup": 0.5, "freeze": 0.5}, "`freeze`.*`warmup`"),
    ],
)
def test_bad_options_are_refused(options, words):
    with pytest.raises(InputError, match=words):
        Timetable(**options)
