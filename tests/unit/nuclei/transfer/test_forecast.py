"""What is printed before a study starts."""

from linnet.nuclei.transfer.forecast import forecast
from linnet.nuclei.transfer.running import prepare
from tests.unit.nuclei.transfer.made import write_group, write_plan


def test_groups_trainings_time_and_disk_are_told_and_what_is_left_out(tmp_path):
    write_group(tmp_path, "a", 6, rng_seed=1)
    write_group(tmp_path, "b", 4, rng_seed=2)
    (tmp_path / "a" / "points" / "a5.csv").unlink()
    prepared = prepare(write_plan(tmp_path), scale="smoke")
    one, many = (forecast(prepared, workers=workers) for workers in (1, 100_000))
    first, second, trainings, wall, disk = one.lines()
    assert (
        first
        == "a: 5 pictures (2 to train on, 1 to validate, 2 to test), 15 nuclei; 1 image(s) without points are left out"
    )
    assert second == "b: 4 pictures (2 to train on, 1 to validate, 1 to test), 12 nuclei"
    assert trainings.startswith(f"{sum(one.trainings.values())} trainings: 2 each group alone")
    assert wall.startswith("about ")
    assert disk.endswith(" MB on disk")
    assert many.wall_s > one.wall_s / 1000  # no more at a time than there are cores
