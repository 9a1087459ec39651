"""The how-to's plan on two folders of PNG and CSV: killed, gone on with by two workers, and the same in the end."""

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from linnet.engine.trials.trial import finished_trials
from linnet.errors import InputError
from linnet.nuclei import study
from linnet.nuclei.transfer.demo import write_demo

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


def started(plan, out, *more):
    environment = os.environ | {"PYTHONPATH": str(ROOT / "src"), "OMP_NUM_THREADS": "1"}
    words = [
        sys.executable,
        "-m",
        "linnet.cli",
        "nuclei",
        "study",
        str(plan),
        "--scale",
        "smoke",
        "-o",
        str(out),
        *more,
    ]
    return subprocess.Popen(words, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def facts(out):
    """What must be the same: everything but times."""
    return {
        key: (record.value, record.n, {k: v for k, v in record.context.items() if k not in ("wall_s", "train_s")})
        for key, record in finished_trials(out / "record.jsonl").items()
    }


def test_killed_and_gone_on_with_by_two_workers_it_ends_with_the_same_records(plan, tmp_path):
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    study(plan, out=whole, scale="smoke")
    with started(plan, killed) as process:
        for line in process.stdout:
            if line.split()[0] == "3":
                process.send_signal(signal.SIGKILL)
                break
    assert process.returncode == -signal.SIGKILL
    assert 3 <= len(facts(killed)) < TRAININGS
    with started(plan, killed, "--workers", "2") as process:
        told = process.stdout.read()
    assert process.returncode == 0, told
    assert f"{TRAININGS} trainings are finished." in told
    assert "Next:   open it in a browser" in told
    assert facts(killed) == facts(whole)
    assert len(facts(whole)) == TRAININGS
    assert "Train on A, test on B" in (killed / "report.html").read_text()
    assert (killed / "report.md").read_text().count("| lab_a |") >= 3
    plan.write_text(plan.read_text().replace("steps = 4\n", "steps = 5\n"))
    with pytest.raises(InputError, match=r"begun with another plan: `steps` was 4 and is 5\. Restore the plan"):
        study(plan, out=killed, scale="smoke")
    with started(plan, tmp_path / "none", "--plan") as process:
        told = process.stdout.read()
    assert re.search(rf"{TRAININGS} trainings: 2 each group alone.*\nabout \d+ s on this machine.*\nabout \d+ MB", told)
    assert not (tmp_path / "none").exists()


def test_every_key_that_the_page_names_is_one(plan):
    from linnet.nuclei.transfer.plan import FolderGroup, SetGroups, StudySettings

    known = {name for section in (FolderGroup, SetGroups, StudySettings) for name in section.__dataclass_fields__}
    rows = re.findall(r"^\| `\[.*?\| (.*?) \|", PAGE, re.MULTILINE)
    named = {key for row in rows for key in re.findall(r"`(\w+)`", row)}
    assert len(named) > 20
    assert named <= known
