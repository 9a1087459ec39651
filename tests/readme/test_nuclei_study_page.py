"""The how-to's plan on two folders of PNG and CSV: killed, gone on with by two workers, and the same in the end."""

import re
import signal
import time
from pathlib import Path

import pytest

from linnet.cli.application import main
from linnet.engine.trials.trial import finished_trials
from linnet.errors import InputError
from linnet.nuclei import study
from linnet.nuclei.transfer.demo import write_demo
from tests import forked

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/howto/nuclei_study.md").read_text()
FASTER = '\n[scale.smoke]\nseeds = 1\nsteps = 4\nshot_steps = 2\nbatch_size = 2\nmixtures = ["even"]\n'
TRAININGS = 3 + 2 * 2 * 2  # two alone, a mixture; two targets, two numbers of images, two starts


@pytest.fixture
def plan(tmp_path):
    """The page's plan beside images of two groups; lab_a and lab_b are the demo's."""
    write_demo(tmp_path)
    for lab, made in (("lab_a", "small_bright"), ("lab_b", "large_dark")):
        (tmp_path / made).rename(tmp_path / lab)
    (shown,) = re.findall(r"```toml\n(.*?)```", PAGE, re.DOTALL)
    (tmp_path / "plan.toml").write_text(shown + FASTER)
    return tmp_path / "plan.toml"


COMMAND = """
import os, sys
os.dup2(os.open(sys.argv[1], os.O_WRONLY | os.O_CREAT | os.O_TRUNC), 1)
os.dup2(1, 2)
from linnet.cli.application import main
sys.exit(main(sys.argv[2:]))
"""


def words(plan, out, *more):
    return ["nuclei", "study", str(plan), "--scale", "smoke", "-o", str(out), *more]


def started(plan, out, *more):
    """The process of `linnet nuclei study`, and the file of what it prints."""
    told = plan.parent / "told.txt"
    told.write_text("")
    return forked.start(COMMAND, plan.parent, str(told), *words(plan, out, *more)), told


def facts(out):
    """What must be the same: everything but times."""
    return {
        key: (record.value, record.n, {k: v for k, v in record.context.items() if k not in ("wall_s", "train_s")})
        for key, record in finished_trials(out / "record.jsonl").items()
    }


def test_killed_and_gone_on_with_by_two_workers_it_ends_with_the_same_records(plan, tmp_path, capsys):
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    study(plan, out=whole, scale="smoke")
    process, file = started(plan, killed)
    while process.is_alive() and not re.search(r"^ *3\b.*\n", file.read_text(), re.MULTILINE):
        time.sleep(0.01)
    process.kill()
    process.join()
    assert process.exitcode == -signal.SIGKILL
    assert 3 <= len(facts(killed)) < TRAININGS
    process, file = started(plan, killed, "--workers", "2")
    process.join()
    told = file.read_text()
    assert process.exitcode == 0, told
    assert f"{TRAININGS} trainings are finished." in told
    assert "Next:   open it in a browser" in told
    assert facts(killed) == facts(whole)
    assert len(facts(whole)) == TRAININGS
    assert "Train on A, test on B" in (killed / "report.html").read_text()
    assert (killed / "report.md").read_text().count("| lab_a |") >= 3
    plan.write_text(plan.read_text().replace("steps = 4\n", "steps = 5\n"))
    with pytest.raises(InputError, match=r"begun with another plan: `steps` was 4 and is 5\. Restore the plan"):
        study(plan, out=killed, scale="smoke")
    capsys.readouterr()
    assert main(words(plan, tmp_path / "none", "--plan")) == 0
    told = capsys.readouterr().out
    assert re.search(rf"{TRAININGS} trainings: 2 each group alone.*\nabout \d+ s on this machine.*\nabout \d+ MB", told)
    assert not (tmp_path / "none").exists()


def test_every_key_that_the_page_names_is_one(plan):
    from linnet.nuclei.transfer.plan import FolderGroup, SetGroups, StudySettings

    known = {name for section in (FolderGroup, SetGroups, StudySettings) for name in section.__dataclass_fields__}
    rows = re.findall(r"^\| `\[.*?\| (.*?) \|", PAGE, re.MULTILINE)
    named = {key for row in rows for key in re.findall(r"`(\w+)`", row)}
    assert len(named) > 20
    assert named <= known
