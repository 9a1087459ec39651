"""evaluate: each measure is that of the functions; shifted, out of distribution, calibrated; modules; bad sources."""

import numpy as np
import pytest
import torch
from torch import nn

from linnet.data import ArrayLoader, corrupt, corruption_names
from linnet.ensemble import (
    ClassPrediction,
    Shift,
    aurc,
    auroc,
    brier,
    calibrate,
    classwise_ece,
    e_aurc,
    ece,
    ece_debiased,
    evaluate,
    fpr95,
    nll,
)
from linnet.errors import InputError
from tests.unit.ensemble.evaluation.members import Noisy, answers

X, Y = answers()
METRICS = {
    "nll": nll, "brier": brier, "ece": ece, "ece_debiased": ece_debiased, "classwise_ece": classwise_ece, "aurc": aurc,
    "e_aurc": e_aurc,
}  # fmt: skip


def test_the_measures_are_those_of_the_functions():
    model = Noisy()
    report = evaluate(model, (X, Y), method="noisy", rng_seed=3)
    out = ClassPrediction(model.member_outputs(X))
    clean = report.metrics["clean"]
    for name, function in METRICS.items():
        assert clean[name] == pytest.approx(function(out.probs, Y), abs=1e-12), name
    assert clean["accuracy"] == pytest.approx(float((out.probs.argmax(1) == Y).double().mean()))
    assert clean["disagreement"] == pytest.approx(float(out.disagreement.mean()))
    assert (report.members, report.n["clean"], report.method, report.rng_seed) == (3, 200, "noisy", 3)
    assert not any(name.startswith("calibrated") for name in clean)


def test_the_temperature_comes_from_clean_validation_data_also_for_shifted_sets():
    model, validation = Noisy(), answers(seed=1)
    report = evaluate(model, (X, Y), shifted={"half": (X / 2, Y)}, validation=validation)
    temperature = calibrate(model, [validation]).temperature
    assert report.temperature == pytest.approx(temperature)
    for name, x in (("clean", X), ("shifted/half", X / 2)):
        tempered = ClassPrediction(model.member_outputs(x), temperature=temperature)
        assert report.metrics[name]["calibrated_nll"] == pytest.approx(nll(tempered.probs, Y), abs=1e-12)
        assert report.metrics[name]["calibrated_ece"] == pytest.approx(ece(tempered.probs, Y), abs=1e-12)
    own = evaluate(Noisy(temperature=torch.tensor(temperature)), (X, Y))
    assert own.metrics["clean"]["calibrated_nll"] == pytest.approx(report.metrics["clean"]["calibrated_nll"])


def test_shifted_is_the_mean_over_the_sets_and_never_pooled():
    report = evaluate(Noisy(), (X, Y), shifted={"a": (X / 2, Y), "b/2": (-X[:50], Y[:50])})
    both = [report.metrics["shifted/a"], report.metrics["shifted/b/2"]]
    for name, value in report.metrics["shifted"].items():
        assert value == pytest.approx((both[0][name] + both[1][name]) / 2, abs=1e-12)
    assert report.n["shifted"] == 250


def test_detection_is_by_entropy_and_by_epistemic_uncertainty():
    model = Noisy()
    strange = torch.randn(60, 4, generator=torch.Generator().manual_seed(9)) * 0.2
    report = evaluate(model, (X, Y), ood=strange)
    inside, outside = ClassPrediction(model.member_outputs(X)), ClassPrediction(model.member_outputs(strange))
    for kind in ("entropy", "epistemic"):
        pair = getattr(inside, kind), getattr(outside, kind)
        assert report.metrics["ood"][f"auroc_{kind}"] == pytest.approx(auroc(*pair), abs=1e-12)
        assert report.metrics["ood"][f"fpr95_{kind}"] == pytest.approx(fpr95(*pair), abs=1e-12)
    named = evaluate(model, (X, Y), ood={"near": strange, "far": [(strange, Y[:60])]})
    assert named.metrics["ood/near"] == named.metrics["ood/far"] == report.metrics["ood"]


def test_a_module_is_measured_by_the_same_code_and_keeps_its_modes():
    module = nn.Sequential(nn.Dropout(0.9), nn.Identity()).train()
    module[1].eval()
    one = evaluate(module, ArrayLoader((X, Y), batch_size=64, shuffle=False))
    assert one.members == 1
    assert one.metrics["clean"]["nll"] == pytest.approx(float(nn.functional.cross_entropy(X.double(), Y)), abs=1e-12)
    assert one.metrics["clean"]["disagreement"] == 0
    assert (module.training, module[0].training, module[1].training) == (True, True, False)


class Pooled(nn.Module):
    """Mean colour of each channel, scaled, as three logits."""

    def forward(self, x):
        return 4 * x.float().mean(dim=(2, 3))


@pytest.mark.parametrize("kind", ["floats", "bytes"])
def test_a_suite_corrupts_the_clean_images_before_they_are_prepared(kind):
    bytes_ = torch.randint(0, 256, (12, 3, 16, 16), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    labels = torch.arange(12) % 3
    images = bytes_.double() / 255 if kind == "floats" else bytes_
    seen = []

    def prepare(x):
        seen.append(x.dtype)
        return x.double() * (1 if kind == "floats" else 1 / 255) - 0.5

    settings = Shift(names=("fog", "contrast"), severities=(1, 3), rng_seed=2)
    report = evaluate(Pooled(), (images, labels), shifted=settings, prepare=prepare, batch_size=5)
    assert [name for name in report.metrics if "/" in name] == [
        "shifted/fog/1", "shifted/fog/3", "shifted/contrast/1", "shifted/contrast/3",
    ]  # fmt: skip
    assert set(seen) == {images.dtype}
    if kind == "floats":
        logits = Pooled()(corrupt(images, "fog", 3, rng_seed=2) - 0.5).double()
    else:
        fog = corrupt(bytes_.permute(0, 2, 3, 1), "fog", 3, rng_seed=2).permute(0, 3, 1, 2)
        logits = Pooled()(fog.double() / 255 - 0.5).double()
    assert report.metrics["shifted/fog/3"]["nll"] == pytest.approx(
        float(nn.functional.cross_entropy(logits, labels)), abs=1e-6
    )


def test_the_suite_of_fifteen_has_seventy_five_sets_and_gray_images_have_no_saturation():
    images = torch.rand(4, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    labels = torch.tensor([0, 1, 0, 1])

    class Two(nn.Module):
        def forward(self, x):
            return torch.stack([x.mean((1, 2, 3)), x.amax((1, 2, 3))], dim=1)

    report = evaluate(Two(), (images, labels), shifted="cifar15")
    assert sum(name.startswith("shifted/") for name in report.metrics) == 75
    extra = evaluate(Two(), (images, labels), shifted=Shift("extra4", severities=(2,)))
    own = [name.split("/")[1] for name in extra.metrics if name.startswith("shifted/")]
    assert own == list(corruption_names("extra4", channels=1))


def test_dense_predictions_are_measured_over_their_pixels():
    x, y = answers(samples=200)
    dense = x.reshape(2, 10, 10, 4).movedim(-1, 1)
    report = evaluate(nn.Identity(), (dense, y.reshape(2, 10, 10)), task="dense", ood=dense)
    flat = evaluate(nn.Identity(), (x, y))
    for name, value in flat.metrics["clean"].items():
        assert report.metrics["clean"][name] == pytest.approx(value, abs=1e-12)
    assert report.metrics["ood"]["auroc_entropy"] == 0.5


def test_a_regression_has_errors_intervals_and_detection_by_variance():
    generator = torch.Generator().manual_seed(0)
    truth = torch.randn(4000, 1, generator=generator, dtype=torch.float64)
    spread = 0.5 + torch.rand(4000, 1, generator=generator, dtype=torch.float64)
    seen = truth + spread * torch.randn(4000, 1, generator=generator, dtype=torch.float64)

    class Known(nn.Module):
        def forward(self, x):
            return x[:, :1], 2 * x[:, 1:].log() + self.off

        off = 0.0

    model = Known()
    x = torch.cat([seen, spread], dim=1)
    report = evaluate(model, (x, truth), task="regression", validation=(x, truth + 0), ood=x * 3)
    clean = report.metrics["clean"]
    assert clean["rmse"] == pytest.approx(float(((truth - seen) ** 2).mean().sqrt()), abs=1e-12)
    assert clean["mae"] == pytest.approx(float((truth - seen).abs().mean()), abs=1e-12)
    assert clean["interval_error"] < 0.02
    assert report.temperature == pytest.approx(1, abs=0.06)
    model.off = 3.0
    off = evaluate(model, (x, truth), task="regression", validation=(x, truth + 0))
    assert off.metrics["clean"]["interval_error"] > 0.2
    assert off.metrics["clean"]["calibrated_interval_error"] == pytest.approx(
        clean["calibrated_interval_error"], abs=1e-9
    )
    assert off.metrics["clean"]["calibrated_nll"] == pytest.approx(clean["calibrated_nll"], abs=1e-9)
    assert report.metrics["ood"]["auroc_variance"] > 0.9
    plain = evaluate(nn.Identity(), (seen, truth), task="regression")
    assert "nll" not in plain.metrics["clean"]


def test_validation_on_the_test_set_itself_is_warned_of():
    pair = (X, Y)
    with pytest.warns(UserWarning, match="test set itself"):
        evaluate(Noisy(), pair, validation=pair)


IMAGES = torch.rand(4, 4, 8, 8, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize(
    ("model", "clean", "options", "said"),
    [
        (Noisy(), [], {}, "`clean` must give at least one batch"),
        (Noisy(), X, {}, "targets"),
        (Noisy(), (X, Y.float()), {}, "whole numbers"),
        (Noisy(), (X, Y + 4), {}, "0 to 3"),
        (nn.Softmax(1), (X, Y), {}, "must be logits"),
        (Noisy(task="classify"), (X, Y), {}, "`task`.*Did you mean 'classification'"),
        (Noisy(), (X, Y), {"shifted": 3}, "`shifted`.*cifar15"),
        (Noisy(), (X, Y), {"shifted": "cifar10"}, "`suite`|`images`"),
        (Noisy(), (X, Y), {"shifted": {"a": (X, Y[:3])}}, r"shifted\['a'\].*200 inputs and 3 targets"),
        (Noisy(), (X, Y), {"ood": []}, "`ood` must give at least one batch"),
        (Noisy(), (X, Y), {"validation": (X, Y * 0)}, "at least 2 classes"),
        (nn.Flatten(), (IMAGES, Y[:4]), {"shifted": Shift(names=("fog",))}, "1 or 3 channels"),
    ],
)
def test_bad_input_is_refused(model, clean, options, said):
    with pytest.raises(InputError, match=said):
        evaluate(model, clean, **options)


def test_a_member_with_nan_is_named():
    class Broken(Noisy):
        def member_outputs(self, x):
            outputs = super().member_outputs(x).clone()
            outputs[1, 0, 0] = float("nan")
            return outputs

    with pytest.raises(InputError, match=r"`members\[1\]`"):
        evaluate(Broken(), (X, Y))


def test_probabilities_that_underflow_have_a_finite_likelihood():
    logits = torch.tensor([[0.0, 2000.0], [2000.0, 0.0]], dtype=torch.float64)
    report = evaluate(nn.Identity(), (logits, torch.tensor([0, 0])))
    assert report.metrics["clean"]["nll"] == 1000.0
    assert np.isfinite(list(report.metrics["clean"].values())).all()
