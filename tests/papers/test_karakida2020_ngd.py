"""The study at its smallest scale: curves on the line, the counter-example, and tridiagonal by number of layers."""

import math

import pytest

from papers.karakida2020_ngd.problems import SCALES
from papers.karakida2020_ngd.report import page, pictures, readme
from papers.karakida2020_ngd.trials import LAYERWISE, next_trials, run_trial
from papers.page import draw

pytest.importorskip("sklearn", reason="the digits come with scikit-learn: pip install 'linnet[digits]'")
SMOKE = SCALES["smoke"]


@pytest.fixture(scope="module")
def finished():
    """One seed of the items that the page can't do without."""
    wanted = {"curve", "entry", "layers"}
    trials = [t for t in next_trials({}, scale=SMOKE, data="digits") if t.stage in wanted and t.settings["seed"] == 0]
    found = {}
    for trial in trials:
        record = run_trial(trial, scale=SMOKE, data="digits", root=None)
        context = {"trial": trial.key, "stage": trial.stage, **trial.settings, **record.context}
        found[trial.key] = type(record)(**{**vars(record), "context": context})
    return found


def facts(finished, **wanted):
    (record,) = [r for r in finished.values() if all(r.context.get(k) == v for k, v in wanted.items())]
    return record


@pytest.mark.slow
@pytest.mark.parametrize("approx", LAYERWISE)
def test_curves_lie_on_the_line(finished, approx):
    alpha = {"exact": 1, "block": 3, "tridiagonal": 1, "kfac": 2 * SMOKE.samples + 1}[approx]
    for c in (0.5, 1.0):
        record = facts(finished, stage="curve", approx=approx, c=c)
        assert record.context["alpha"] == pytest.approx(alpha)
        assert record.context["isotropy_error"] < 1e-8
        assert record.value < (0.3 if approx == "kfac" else 0.1)
        assert record.context["line_train_1"] == pytest.approx((1 - c) ** 2 * record.context["train_0"], abs=1e-12)
    descent = facts(finished, stage="curve", approx="gradient", c=1.0)
    assert record.context["train_1"] < descent.context["train_1"] / 1.5


@pytest.mark.slow
def test_the_entry_wise_matrix_is_not_isotropic(finished):
    record = facts(finished, stage="entry")
    assert record.value > 3
    assert math.isfinite(record.context["condition_ntk"])


@pytest.mark.slow
def test_tridiagonal_by_number_of_layers(finished):
    for layers, alpha in ((3, 1), (4, 2), (6, 2), (7, 3)):
        record = facts(finished, stage="layers", layers=layers)
        assert record.value == pytest.approx(alpha)
        assert record.context["isotropy_error"] < 1e-8
    refused = facts(finished, stage="layers", layers=5)
    assert refused.value is None
    assert "5 weight layers" in refused.context["refused"]


@pytest.mark.slow
def test_tables_and_pictures_are_written_from_records(finished, tmp_path):
    shown = [path.name for path in draw(pictures.drawable(finished), tmp_path)]
    assert sorted(shown) == ["curves_0.5.png", "curves_1.png"]
    assert (tmp_path / "pictures" / "curves_1.png").stat().st_size > 10_000
    text = readme.text(finished)
    assert "| 5 | not run | not run | not run | refused |" in text
    assert "not decided" in text  # one seed decides nothing
    assert "(5) layer-wise" in text or "(3, 5) layer-wise" in text
    assert "svg" in page.text(finished)
