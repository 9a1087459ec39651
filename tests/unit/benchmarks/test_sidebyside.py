"""The ratio harness on a clock that the tests wind themselves."""

import pytest

from benchmarks.sidebyside import Comparison, Side, UnequalWork, compare


class Clock:
    """Stands still unless a side runs; every run is written down."""

    def __init__(self) -> None:
        self.now = 0.0
        self.runs: list[str] = []

    def __call__(self) -> float:
        return self.now

    def side(self, name: str, seconds, work: object = 100) -> Side:
        times = iter(seconds)

        def run() -> object:
            self.runs.append(name)
            self.now += next(times)
            return work

        return Side(name, run, lambda outcome: outcome)


def test_the_ratio_is_the_median_of_pair_ratios():
    clock = Clock()
    # Pairs (1, 2), (4, 12), (5, 5): ratios 2, 3, 1. The ratio of the medians would be 5 / 4.
    result = compare(clock.side("a", [9, 1, 4, 5]), clock.side("b", [9, 2, 12, 5]), pairs=3, clock=clock)
    assert result.speed_ratio == 2.0
    assert result.median_s == (4.0, 5.0)
    assert (result.a_s, result.b_s) == ((1.0, 4.0, 5.0), (2.0, 12.0, 5.0))


def test_the_extra_time_is_the_median_of_pair_differences():
    result = Comparison("a", "b", (2.0, 3.0, 9.0), (1.0, 1.5, 8.9))
    assert result.extra_s == pytest.approx(1.0)
    lo, hi = result.extra_interval_s
    assert (lo, hi) == (pytest.approx(0.1), pytest.approx(1.5))


def test_sides_take_turns_after_both_are_warm():
    clock = Clock()
    compare(clock.side("a", [1] * 5), clock.side("b", [1] * 5), pairs=3, warmups=2, clock=clock)
    assert "".join(clock.runs) == "aabb" + "ababab"


def test_a_slow_spell_of_the_machine_cancels():
    clock = Clock()
    slow = [1, 1, 1, 7, 7, 7]  # the last pairs run seven times slower, on both sides
    result = compare(clock.side("a", [1, *slow]), clock.side("b", [1, *(2 * s for s in slow)]), pairs=6, clock=clock)
    assert result.speed_ratio == 2.0
    assert result.interval == (2.0, 2.0)


def test_the_interval_holds_the_ratio_and_is_reproducible():
    result = Comparison("a", "b", (1.0,) * 9, (1.0, 1.2, 0.9, 1.1, 1.3, 1.0, 1.4, 0.8, 1.1))
    lo, hi = result.interval
    assert 0.8 <= lo < result.speed_ratio < hi <= 1.4
    assert result.interval == (lo, hi)


def test_unequal_work_is_refused_before_anything_is_timed():
    clock = Clock()
    with pytest.raises(UnequalWork, match="a did 100, b did 99"):
        compare(clock.side("a", [1]), clock.side("b", [1], work=99), clock=clock)
    assert clock.runs == ["a", "b"]


@pytest.mark.parametrize("options", [{"pairs": 2}, {"warmups": 0}])
def test_too_few_runs_are_refused(options):
    clock = Clock()
    with pytest.raises(ValueError, match="at least 3"):
        compare(clock.side("a", [1]), clock.side("b", [1]), clock=clock, **options)
