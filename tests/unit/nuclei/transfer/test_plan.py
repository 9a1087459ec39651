"""A plan is read whole, and everything that is wrong with it is told with its line."""

import pytest

from linnet.errors import InputError, RecipeError
from linnet.nuclei.transfer.plan import read_plan
from tests.unit.nuclei.transfer.made import write_plan


def test_what_holds_is_defaults_then_scale_then_study_then_the_files_own_scale(tmp_path):
    path = write_plan(tmp_path, "[study]\nseeds = 4\nsteps = 77\n[scale.smoke]\nsteps = 7\n")
    smoke, cpu, gpu = (read_plan(path, scale=scale).settings for scale in ("smoke", "cpu", "gpu"))
    assert (smoke.seeds, smoke.steps, smoke.side) == (4, 7, 64)
    assert (cpu.seeds, cpu.steps, cpu.side) == (4, 77, 128)
    assert (gpu.seeds, gpu.steps, gpu.batch_size) == (4, 77, 16)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("[study]\nstep = 5\n", r"line 8: \[study\] `step` is unknown\. Did you mean `steps`"),
        ('[study]\narms = ["matrx"]\n', r'`arms` .* must be .*"matrix".* \(got "matrx" in it\)'),
        ("[study]\nseeds = 0\n", r"`seeds` \(paired seeds\) must be a whole number from 1 to 100 \(got 0\)"),
        ("[study]\nside = 100\n", r"`side` must be a multiple of 16 \(got 100\)"),
        ("[study]\nshots = [1]\nrehearsal = [2]\n", r"`rehearsal` must name some of `shots`, which lack 2"),
        ("[group.c]\n", r"\[group\] is unknown\. Did you mean \[groups\]"),
        ('[groups.c]\nimages = "c"\n', r"`points` .* is missing"),
        ("[study]\nshots = [1, 2, 1]\n", r"`shots` must name each once \(got 1 twice\)"),
        ('[study]\narms = ["shots", "shots"]\n', r'`arms` must name each once \(got "shots" twice\)'),
        ("[study]\narms = []\n", r"`arms` must name at least one question: matrix, mixtures, shots"),
        ("[study]\nstarts = []\n", r"`starts` must hold at least one value for the arm shots"),
        ("[study]\nmixtures = []\n", r"`mixtures` must hold at least one value for the arm mixtures"),
        ('[sets.s]\npath = "s"\nonly = ["q", "q"]\n', r'`only` must name each group once \(got "q" twice\)'),
        ("[study]\nbatch_size = 100000000\n", r"`batch_size` .* from 1 to 1024"),
        ("[study]\nsteps = 90000000\n", r"`steps` .* from 1 to 10,000,000 \(got 90000000\)"),
        ("[study]\nradius_px = 1e300\n", r"`radius_px` .* above 0 and of at most 1000"),
        ("diameter_px = 1e300\n", r"`diameter_px` .* above 0 and of at most 10000"),
        ("[study]\nthreads = 100000\n", r"`threads` .* from 1 to 256"),
        ("[scale.gpu]\nstep = 5\n", r"line 8: \[scale.gpu\] `step` is unknown"),
        ("[scale.big]\n", r"\[scale.big\] must be one of smoke, cpu, gpu"),
        ("[kinds]\na = 1\n", r"\[kinds\] `a` must be a text \(got 1\)"),
    ],
)
def test_what_cannot_be_used_is_named_with_its_line(tmp_path, text, told):
    with pytest.raises(RecipeError, match=told):
        read_plan(write_plan(tmp_path, text))


def test_a_plan_without_groups_and_a_scale_that_is_none(tmp_path):
    path = write_plan(tmp_path, "[study]\n", groups=())
    with pytest.raises(RecipeError, match=r"\[groups\] is missing; name the groups of images"):
        read_plan(path)
    with pytest.raises(InputError, match="`scale` must be one of"):
        read_plan(path, scale="big")
    with pytest.raises(InputError, match=r"`data` must be a folder that exists.*\(got nowhere\)"):
        read_plan(write_plan(tmp_path), data="nowhere")
    with pytest.raises(RecipeError, match="Give the path of a plan"):
        read_plan(tmp_path / "none.toml")
