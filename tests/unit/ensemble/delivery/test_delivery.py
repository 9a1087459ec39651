"""What leaves an ensemble: the ONNX file, the distilled network, the file of weights; and what calibrates it."""

import sys

import numpy as np
import pytest
import torch
from torch import nn

import linnet
from linnet.data import ArrayLoader
from linnet.ensemble import HatchEnsemble, hatch
from linnet.errors import CheckpointError, InputError, ProofError, TrainingError

torch.manual_seed(5)
CENTRES = torch.randn(3, 4) * 2
Y = torch.arange(120) % 3
X = CENTRES[Y] + torch.randn(120, 4) * 0.8
IMAGES = torch.randn(4, 1, 8, 8)


def network():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 3))


def convolutions():
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(1, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.Flatten(), nn.Linear(288, 3))


def trained(**options):
    ens = hatch(network(), X[:1], 3, factor=1.5, **options)
    ens.fit(ArrayLoader((X[:80], Y[:80]), batch_size=40), epochs=10, lr=0.1)
    return ens


def run(path, x):
    onnxruntime = pytest.importorskip("onnxruntime")
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(None, {session.get_inputs()[0].name: x.numpy()}), strict=True))


def onnx():
    for package in ("onnx", "onnxscript", "onnxruntime"):
        pytest.importorskip(package)


def assert_answers(path, ens, x):
    found, out = run(path, x), ens(x)
    for name, values in found.items():
        wanted = getattr(out, name).detach().numpy()
        assert values.shape == wanted.shape, name
        assert np.abs(values - wanted).max() <= 1e-5, name


def test_the_onnx_file_answers_as_torch_does_for_any_batch(tmp_path):
    onnx()
    ens = trained(widths="varied")
    ens.calibrate(ArrayLoader((X[80:], Y[80:]), batch_size=40))
    path = ens.export(tmp_path / "ens.onnx", X[:1])
    for samples in (1, 2, 33):
        assert_answers(path, ens, X[:samples])
    assert set(run(path, X[:2])) == {"probs", "entropy", "aleatoric", "epistemic"}


def test_probabilities_that_underflow_have_no_nan_in_the_file(tmp_path):
    onnx()
    sure = nn.Linear(4, 3)
    with torch.no_grad():
        sure.weight.mul_(1e4)
    ens = HatchEnsemble([sure, nn.Linear(4, 3)]).eval()
    assert_answers(ens.export(tmp_path / "sure.onnx", X[:1]), ens, X[:9])


def test_dense_and_regression_ensembles_are_exported_too(tmp_path):
    onnx()
    torch.manual_seed(0)
    dense = HatchEnsemble([nn.Conv2d(1, 3, 3) for _ in range(2)], task="dense").eval()
    assert_answers(dense.export(tmp_path / "dense.onnx", IMAGES[:1]), dense, IMAGES)
    values = HatchEnsemble([nn.Linear(4, 2) for _ in range(3)], task="regression").eval()
    assert_answers(values.export(tmp_path / "values.onnx", X[:1]), values, X[:5])


def test_bad_exports_leave_no_file(tmp_path, monkeypatch):
    onnx()
    ens = HatchEnsemble([nn.Linear(4, 3)]).eval()
    with pytest.raises(InputError, match=r"`path` must end in \.onnx"):
        ens.export(tmp_path / "ens.pt", X[:1])
    with pytest.raises(InputError, match="`example` must be a tensor"):
        ens.export(tmp_path / "ens.onnx", [X[:1]])
    monkeypatch.setattr("linnet.ensemble.delivery.onnx_file._difference", lambda *_: 0.5)
    with pytest.raises(ProofError, match=r"differ by 0\.5"):
        ens.export(tmp_path / "ens.onnx", X[:1])
    assert list(tmp_path.iterdir()) == []


def test_a_hatched_ensemble_in_train_mode_is_exported_in_eval_mode(tmp_path):
    onnx()
    ens = hatch(network().train(), X[:1], 2)
    assert ens.training
    before = {name: tensor.clone() for name, tensor in ens.state_dict().items()}
    path = ens.export(tmp_path / "ens.onnx", X[:1])
    assert ens.training
    assert all(torch.equal(tensor, before[name]) for name, tensor in ens.state_dict().items())
    assert_answers(path, ens.eval(), X[:9])


def test_members_whose_outputs_differ_are_not_exported(tmp_path):
    onnx()
    with pytest.raises(InputError, match=r"`members` must have equal outputs.*\(1, 3\), members\[1\] \(1, 4\)"):
        HatchEnsemble([nn.Linear(4, 3), nn.Linear(4, 4)]).export(tmp_path / "ens.onnx", X[:1])
    assert list(tmp_path.iterdir()) == []


def test_without_the_extra_the_line_that_installs_it_is_told(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(linnet.errors.MissingExtra, match=r'pip install "linnet\[onnx\]"'):
        HatchEnsemble([nn.Linear(4, 3)]).export(tmp_path / "ens.onnx", X[:1])


def test_one_network_learns_what_the_ensemble_says():
    ens = trained()
    loader = ArrayLoader((X[:80], Y[:80]), batch_size=40)
    found = ens.distill(
        network(), loader, epochs=30, lr=0.1, test=(X[80:], Y[80:]), shifted={"far": (X[80:] * 2, Y[80:])}
    )
    own, pool = found.scores["clean"]["accuracy"]
    assert abs(own - pool) < 0.1
    assert set(found.scores) == {"clean", "shifted"}
    assert set(found.scores["shifted"]) == {"accuracy", "nll", "ece"}
    assert found.macs[0] < found.macs[1] / 3
    assert f"{found.macs[0]:,} of {found.macs[1]:,} MACs" in str(found)
    with torch.no_grad():
        gap = (found.student(X[80:]).softmax(1) - ens(X[80:]).probs).abs().mean()
    assert float(gap) < 0.1


def test_what_cannot_be_distilled_is_refused():
    ens = trained()
    loader = ArrayLoader((X[:80], Y[:80]), batch_size=40)
    with pytest.raises(TrainingError, match="`student` gives"):
        ens.distill(nn.Linear(4, 5), loader)
    with pytest.raises(InputError, match="regression"):
        HatchEnsemble([nn.Linear(4, 2)], task="regression").distill(nn.Linear(4, 2), loader)


@pytest.mark.parametrize("widths", ["same", "varied"])
def test_an_ensemble_is_saved_and_loaded_without_pickle(tmp_path, widths):
    ens = hatch(convolutions(), IMAGES[:1], 3, factor=1.5, widths=widths, noise=0.1).eval()
    ens.temperature = 1.7
    path = linnet.save(ens, tmp_path / "ens.safetensors")
    fresh = HatchEnsemble([convolutions() for _ in range(3)])
    again = linnet.load(fresh, path).eval()
    assert again.temperature == 1.7
    assert torch.equal(again(IMAGES).probs, ens(IMAGES).probs)
    assert [m[0].out_channels for m in again.members] == [m[0].out_channels for m in ens.members]
    twice = linnet.save(again, tmp_path / "again.safetensors")
    assert torch.equal(linnet.load(fresh, twice).eval()(IMAGES).probs, ens(IMAGES).probs)


def test_a_damaged_or_foreign_file_is_refused(tmp_path):
    ens = hatch(convolutions(), IMAGES[:1], 2, noise=0)
    path = linnet.save(ens, tmp_path / "ens.safetensors")
    fresh = HatchEnsemble([convolutions() for _ in range(2)])
    with pytest.raises(CheckpointError, match="lacks"):
        linnet.load(HatchEnsemble([convolutions() for _ in range(3)]), path)
    with pytest.raises(CheckpointError, match="HatchEnsemble"):
        linnet.load(convolutions(), path)
    content = bytearray(path.read_bytes())
    content[-5] ^= 1
    path.write_bytes(content)
    with pytest.raises(CheckpointError):
        linnet.load(fresh, path)


def test_calibration_keeps_decisions_and_sets_hold_the_truth():
    ens = trained()
    before = ens(X[80:])
    found = ens.calibrate(ArrayLoader((X[80:], Y[80:]), batch_size=40))
    after = ens(X[80:])
    assert ens.temperature == found.temperature
    assert torch.equal(before.probs.argmax(1), after.probs.argmax(1))
    assert found.nll_after <= found.nll_before
    assert torch.equal(before.entropy, after.entropy)
    assert after.sets is None
    ens.conformalize(ArrayLoader((X[80:], Y[80:]), batch_size=40), 0.2)
    sets = ens(X[80:]).sets
    assert float(sets[torch.arange(40), Y[80:]].double().mean()) >= 0.8
    ens.fit(ArrayLoader((X[:80], Y[:80]), batch_size=40))
    assert ens.temperature is None
    with pytest.raises(InputError, match="`temperature`"):
        ens.temperature = -1.0
