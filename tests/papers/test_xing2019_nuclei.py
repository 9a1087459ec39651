"""The study of training images for nuclei: verdicts follow from records, and its pages are written from them alone."""

import pytest

from linnet.engine.trials.trial import finished_trials
from linnet.nuclei.transfer.description import Description
from linnet.nuclei.transfer.findings import Findings
from linnet.nuclei.transfer.plan import STARTS, read_plan
from linnet.nuclei.transfer.training import run_training
from linnet.nuclei.transfer.trainings import Trainings
from linnet.results import write_records
from papers.xing2019_nuclei.report import readme
from papers.xing2019_nuclei.report.claims import claims, not_run
from papers.xing2019_nuclei.report.left_out import left_out
from papers.xing2019_nuclei.run import HERE, main
from tests.unit.nuclei.transfer.made import findings, record

SEEDS = range(3)


def alone(own, other, *, validation=0.5):
    return [
        record(
            "alone",
            {target: [own if target == source else other] * 4 for target in "abc"},
            validation=dict.fromkeys("abc", validation),
            group=source,
            seed=seed,
        )
        for source in "abc"
        for seed in SEEDS
    ]


def pooled(hits, seeds=SEEDS):
    return [
        record("mixture", {g: [h] * 4 for g, h in zip("abc", hits, strict=True)}, weights="pooled", seed=seed)
        for seed in seeds
    ]


def tuned(hits, start="best"):
    told = {"k": 2, "rehearsal": False, "start": start, "source": "c"}
    return [record("shots", {g: [hits] * 4}, group=g, seed=seed, **told) for g in "ab" for seed in SEEDS]


def verdicts(records):
    return [claim.verdict for claim in claims(findings(records, pictures=4, seeds=3))]


@pytest.mark.parametrize(
    ("own", "other", "verdict"), [(9, 4, "same direction"), (4, 9, "opposite"), (5, 5, "no evidence")]
)
def test_own_images_are_necessary_where_the_best_other_group_falls_short(own, other, verdict):
    assert verdicts(alone(own, other))[1] == verdict


def test_a_group_that_only_the_test_images_would_choose_is_told_beside_the_one_that_validation_chose():
    records = [
        record(
            "alone",
            {"a": [{"a": 5, "b": 9, "c": 2}[source]] * 4, **{t: [9 if t == source else 4] * 4 for t in "bc"}},
            validation={"a": {"a": 0.5, "b": 0.1, "c": 0.2}[source], "b": 0.5, "c": 0.5},
            group=source,
            seed=seed,
        )
        for source in "abc"
        for seed in SEEDS
    ]
    claim = claims(findings(records, pictures=4, seeds=3))[1]
    assert (
        "+0.433 [+0.433, +0.433] over 3 targets; clearly better on 3, clearly worse on 0; less the group" in claim.ours
    )
    assert claim.ours.endswith("with hindsight: +0.200 [+0.200, +0.200], clearly better on 2, clearly worse on 1 (a)")


def test_a_weighting_of_some_targets_says_of_how_many():
    weighted = [record("mixture", {"a": [7] * 4}, weights="weighted", group="a", seed=seed) for seed in SEEDS]
    claim = claims(findings(alone(5, 4) + pooled((3, 3, 3)) + weighted, pictures=4, seeds=3))[3]
    assert "target as often as all others (on 1 of 3 targets) +0.400" in claim.ours


def test_looking_similar_does_not_do_where_it_falls_short_and_fine_tuning_gains():
    assert verdicts(alone(9, 4) + tuned(8))[2] == "same direction"
    assert verdicts(alone(9, 4) + tuned(3))[2] == "opposite"
    assert verdicts(alone(9, 4))[2] == "no evidence"


@pytest.mark.parametrize(
    ("random", "ending", "difference"),
    [
        (8, "no evidence that the other group's weights help", "+0.000"),
        (6, "the other group's weights help too", "+0.200"),
        (9, "the other group's weights are worse than random ones", "-0.100"),
    ],
)
def test_fine_tuning_is_shown_beside_random_weights_on_the_same_images(random, ending, difference):
    found = findings(alone(9, 4) + tuned(8) + tuned(random, "scratch"), pictures=4, seeds=3)
    claim = claims(found)[2]
    assert claim.verdict.startswith("same direction; ")
    assert claim.verdict.endswith(ending)
    assert (
        f"less own training -0.100 [-0.100, -0.100], less random weights on the same images {difference}" in claim.ours
    )


@pytest.mark.parametrize(
    ("hits", "verdict"), [((9, 8, 3), "same direction"), ((8, 9, 9), "opposite"), ((5, 5, 9), "no evidence")]
)
def test_a_mixture_is_not_always_better_where_one_target_loses(hits, verdict):
    assert verdicts(alone(5, 4) + pooled(hits))[3] == verdict


def test_two_seeds_decide_nothing_and_no_records_are_not_run():
    assert verdicts(alone(5, 4) + pooled((3, 3, 3), seeds=range(2)))[3] == "no evidence"
    assert verdicts([]) == ["not run"] * 4


def test_the_plan_is_read_at_every_scale_and_its_trainings_are_those_that_are_planned():
    for scale in ("smoke", "cpu", "gpu"):
        plan = read_plan(HERE / "plan.toml", scale=scale)
        groups = tuple(name for name, _ in plan.kinds)
        shots = {name: [k for k in plan.settings.shots if k <= 4] for name in groups}
        parts = Trainings(plan, shots, groups).count()
        settings = {
            name: getattr(plan.settings, name) for name in ("shots", "shot_groups", "seeds", "starts", "mixtures")
        }
        found = findings(
            [], groups, kinds=[kind for _, kind in plan.kinds], rehearsal=plan.settings.rehearsal, **settings
        )
        assert sum(found.planned.values()) == sum(parts.values())
        assert dict(not_run(found))["alone"] == f"0 of {parts['each group alone']}"
    assert run_training.__module__ == "linnet.nuclei.transfer.training"


def test_pages_are_written_from_records_alone(tmp_path, capsys):
    records = alone(9, 4) + pooled((9, 8, 3)) + tuned(8)
    (tmp_path / "records").mkdir()
    write_records(tmp_path / "records" / "smoke.jsonl", records)
    assert main(["--scale", "smoke", "--report", "--out", str(tmp_path)]) == 2
    assert "smoke.study.json must lie beside the records" in capsys.readouterr().err
    study = findings(records, pictures=4, seeds=3, mixtures=["pooled"], rehearsal=[]).study
    (tmp_path / "records" / "smoke.study.json").write_text(study.to_json())
    assert main(["--scale", "smoke", "--report", "--out", str(tmp_path)]) == 0
    text, page = (tmp_path / "README.md").read_text(), (tmp_path / "report.html").read_text()
    assert text.count("same direction") == 3
    assert "| others | 0 of 9 |" in text
    assert "never that a figure was" in page.replace("\n", " ")
    for name in ("matrix", "shots", "mixtures"):
        assert (tmp_path / "pictures" / f"{name}.png").exists()


def test_what_a_scale_leaves_out_is_told_from_its_description():
    small = left_out(findings(alone(9, 4), shot_groups=["a"], rehearsal=[2], train_images=40))
    assert small == (
        "Left out at this scale: training on k = 4 and 8 images of the target; starting from the shipped detector; few "
        "images of b, c; rehearsal of the source for k = 1; 3 of 5 seeds. Of each group at most so many images are "
        "taken: 40 to train on. A training takes 9 steps, one on few images 3."
    )
    weighted = left_out(findings([], shot_groups=["a"], mixtures=["pooled", "weighted"]))
    assert "few images of b, c; mixtures weighted for the same groups;" in weighted
    whole = left_out(
        findings(alone(9, 4), seeds=5, shots=[1, 2, 4, 8], rehearsal=[1, 2, 4, 8], starts=list(STARTS), train_images=0)
    )
    assert whole == "A training takes 9 steps, one on few images 3."


def test_the_readme_is_what_its_records_say():
    records = HERE / "records" / "cpu.jsonl"
    study = Description.from_json(records.with_suffix(".study.json").read_text())
    found = Findings(finished_trials(records), study)
    assert readme.text(found, "cpu") == (HERE / "README.md").read_text()
    for name in ("steps", "shots", "seeds"):  # the plan is still the one that was run
        now = getattr(read_plan(HERE / "plan.toml", scale="cpu").settings, name)
        assert study.settings[name] == (list(now) if isinstance(now, tuple) else now)
