"""The study of hatched ensembles: its smallest scale runs, resumes and keeps its shape."""

import pytest

from linnet.results import read_records
from papers.xia2021_hatch import run
from papers.xia2021_hatch.arms import ARMS, HATCHED, fresh, whole
from papers.xia2021_hatch.problems import problem
from papers.xia2021_hatch.report import tables
from papers.xia2021_hatch.scales import BUDGET, MEMBERS, SCALES
from papers.xia2021_hatch.training import Trainer

pytest.importorskip("sklearn")
SMOKE = SCALES["smoke"]


@pytest.mark.slow
def test_the_smoke_scale_ends_in_a_table_and_goes_on_where_it_was(tmp_path, capsys):
    assert run.main(["--scale", "smoke", "--out", str(tmp_path)]) == 0
    page = (tmp_path / "README.md").read_text()
    first = page.splitlines()[2]
    assert "(a)" in first
    assert "(b)" in first
    assert "n = 2 of 2 seeds" in first
    verdict = page.split("## Verdict")[1].split("##")[0]
    assert "- (a)" in verdict
    assert "- (b)" in verdict
    records = list(read_records(tmp_path / "records" / "smoke.jsonl"))
    assert len(records) == 6
    assert run.main(["--scale", "smoke", "--out", str(tmp_path)]) == 0
    assert "0 runs" in capsys.readouterr().out.split("6 are finished")[1]


@pytest.mark.slow
@pytest.mark.parametrize("arm", [arm for arm in ARMS if arm not in ("full", "one", "two")])
def test_every_arm_keeps_to_the_budget(arm):
    train, candidates = ARMS[arm]
    trainer = Trainer(problem("digits", SMOKE, None), 0)
    full = Trainer(problem("digits", SMOKE, None), 0)
    member = full.macs(fresh(full, SMOKE.widths, 0))
    budget = BUDGET * MEMBERS * whole(SMOKE) * 3 * 64 * member
    ensemble = train(trainer, SMOKE, whole(SMOKE), candidates[0])
    assert 0.75 * budget <= trainer.spent.macs <= 1.001 * budget
    outputs = ensemble.member_outputs(trainer.given.test[0][:4])
    assert outputs.shape[1:] == (4, 10)


def test_verdicts_need_the_whole_interval():
    class Told:
        def __init__(self, seed, method, value):
            self.name, self.rng_seed, self.method = "hatch.run", seed, method
            self.context = {"set": "digits", "calibrated_nll": value, "shifted_ece": value, "accuracy": -value}

    def finished(gap):
        return {
            f"{seed} {method}": Told(seed, method, 1 + 0.01 * seed + (gap if method == "two" else 0))
            for seed in range(5)
            for method in ("hatch_late", "two", "full")
        }

    assert tables.better(tables.runs(finished(0.1), "digits"), "hatch_late", "two") == "holds"
    assert tables.better(tables.runs(finished(-0.1), "digits"), "hatch_late", "two") == "does not hold"
    assert tables.as_good(tables.runs(finished(0.1), "digits"), "hatch_late") == "holds"
    assert tables.better(tables.runs(finished(0.1), "digits"), "hatch_late", "snapshot") == "not run"
    assert "hatch_late" in HATCHED
    for gap, said, listed in (
        (0.1, "(b) holds", "- (b) beaten: 2 of its"),
        (-0.1, "(b) fails", "- (b) not beaten: 2 of"),
    ):
        assert said in tables.first_line(finished(gap), SMOKE)
        assert listed in tables.verdicts(finished(gap), SMOKE)
