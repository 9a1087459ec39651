"""Every kind of bad input is refused with one error that names the argument, what it must be and what was given."""

import copy
import sys

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.utils.parametrizations import weight_norm

import linnet
from linnet.data import ArrayLoader, corrupt
from linnet.ensemble import Conformal, HatchEnsemble, Shift, brier, ece, evaluate, hatch, nll, widen
from linnet.errors import (
    CheckpointError,
    GraphError,
    InputError,
    MissingExtra,
    ProofError,
    UnsupportedOperator,
)

X = torch.randn(8, 1, 8, 8, generator=torch.Generator().manual_seed(0))
Y = torch.arange(8) % 3
PROBS = torch.softmax(torch.randn(8, 3, generator=torch.Generator().manual_seed(1)), 1)
LOGITS = 5 * torch.randn(8, 3, generator=torch.Generator().manual_seed(2))
BYTES = np.zeros((2, 8, 8, 3), np.uint8)
TWICE = nn.Linear(4, 2)


def net():
    return nn.Sequential(
        nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Conv2d(4, 4, 3), nn.Flatten(), nn.Linear(64, 3)
    )


def pair():
    return HatchEnsemble([net(), net()]).eval()


def values():
    return HatchEnsemble([nn.Linear(4, 1), nn.Linear(4, 1)], task="regression")


class Inner(nn.Module):
    """A hidden part in which something can't be widened."""

    def __init__(self, part):
        super().__init__()
        self.first, self.part, self.last = nn.Linear(4, 6), part, nn.Linear(6, 2)

    def forward(self, x):
        return self.last(self.part(torch.relu(self.first(x))))


class Sorts(nn.Module):
    def forward(self, x):
        return torch.sort(x, dim=1).values


class Own(nn.Module):
    """A product that depends on each channel's place."""

    def forward(self, x):
        return x @ torch.eye(6).roll(1, 0)


def normed():
    weight_norm(made := nn.Linear(6, 6))
    return Inner(made)


def not_finite():
    made = net()
    nn.init.constant_(made[0].weight, float("nan"))
    return made


FOUR, NARROW = torch.zeros(2, 4), torch.zeros(2, 3, 8, 8)
WIDENING = {
    "an operator over channels": (lambda: widen(Inner(Sorts()), FOUR), (GraphError, UnsupportedOperator), "sort"),
    "an operator without a rule": (lambda: widen(Inner(Own()), FOUR), (GraphError, UnsupportedOperator), "matmul|mm"),
    "nothing to widen": (lambda: widen(nn.Linear(4, 2), FOUR), GraphError, "no channels that may be copied.*hidden"),
    "parametrizations": (lambda: widen(normed(), FOUR), GraphError, "`part`.*remove_parametrizations"),
    "example of a wrong shape": (lambda: hatch(net(), NARROW), GraphError, r"`example`.*got input \(2, 3, 8, 8\)"),
    "example of a wrong type": (lambda: hatch(net(), X.long()), GraphError, "`example`.*int64"),
    "NaN": (lambda: hatch(not_finite(), X), ProofError, "`0.weight` must be finite"),
    "factor 1": (lambda: hatch(net(), X, factor=1.0), InputError, r"`factor`.*> 1 \(got 1.0\)"),
    "factor below 1": (lambda: widen(net(), X, 0.5), InputError, r"`factor`.*> 1 \(got 0.5\)"),
    "no members": (lambda: hatch(net(), X, 0), InputError, r"`members`.*>= 1 \(got 0\)"),
    "members by name": (lambda: hatch(net(), X, "two"), InputError, r"`members`.*'two'"),
    "noise by name": (lambda: hatch(net(), X, noise="big"), InputError, r"`noise`.*'big'"),
    "factor by name": (lambda: hatch(net(), X, factor="x"), InputError, r"`factor`.*'x'"),
    "a factor to widen by name": (lambda: widen(net(), X, factor="x"), InputError, r"`factor`.*'x'"),
    "factors by name": (lambda: hatch(net(), X, 2, widths=[1.5, "a"]), InputError, r"`widths`.*'a'"),
    "half a member": (lambda: hatch(net(), X, 2.5), InputError, r"`members`.*\(got 2.5\)"),
    "negative noise": (lambda: hatch(net(), X, noise=-1), InputError, r"`noise`.*>= 0 \(got -1\)"),
    "split": (lambda: hatch(net(), X, split="half"), InputError, "`split`.*'random', 'even', 'pair'.*'half'"),
    "widths": (lambda: hatch(net(), X, widths="wide"), InputError, "`widths`.*'same', 'varied'.*'wide'"),
    "number of widths": (lambda: hatch(net(), X, 3, widths=[1.2, 1.3]), InputError, "`widths`.*3 factors"),
    "maps": (lambda: hatch(net(), X, maps="other"), InputError, "`maps`.*'independent', 'anti'"),
    "share": (lambda: hatch(net(), X, reinit=2), InputError, r"`reinit`.*0..1 \(got 2\)"),
    "align": (lambda: widen(net(), X, align=0), InputError, r"`align`.*>= 1 \(got 0\)"),
}
ANSWERS = {
    "outputs that differ": (
        lambda: HatchEnsemble([nn.Linear(4, 2), nn.Linear(4, 3)])(FOUR),
        r"`members` must have equal outputs.*\(2, 2\).*members\[1\] \(2, 3\)",
    ),
    "no member": (lambda: HatchEnsemble([]), "`members`.*got 0"),
    "one member twice": (
        lambda: HatchEnsemble([TWICE, nn.Linear(4, 2), TWICE]),
        r"`members` must be different networks \(members\[0\] and members\[2\] are one Linear object\).*deepcopy",
    ),
    "task": (lambda: HatchEnsemble([net()], task="ranking"), "`task`.*'regression'.*'ranking'"),
    "labels out of range": (lambda: pair().calibrate([(X, Y + 5)]), r"`labels`.*0 to 2.*got 5 to 7"),
    "labels out of range of a measure": (lambda: nll(PROBS, Y + 5), r"`labels`.*0 to 2.*got 5 to 7"),
    "float labels": (lambda: pair().calibrate([(X, Y.float())]), "`labels`.*whole numbers.*float32"),
    "float labels to evaluate": (lambda: evaluate(pair(), (X, Y.float())), "`labels`.*whole numbers.*float32"),
    "labels of another number": (lambda: nll(PROBS, Y[:5]), "`labels`.*8 labels.*got 5"),
    "empty loader to calibrate": (lambda: pair().calibrate([]), "`calibration`.*got none"),
    "empty loader to evaluate": (lambda: evaluate(pair(), []), "`clean`.*got none"),
    "empty loader to distil": (lambda: pair().distill(net(), []), "`loader`.*got none"),
    "fewer loaders than members": (lambda: pair().fit([(X, Y)]), "`source`.*list of 2.*got a list of 1"),
    "logits for nll": (lambda: nll(LOGITS, Y), "`probs`.*sum to 1.*softmax"),
    "logits for brier": (lambda: brier(LOGITS, Y), "`probs`.*sum to 1.*softmax"),
    "logits for ece": (lambda: ece(LOGITS, Y), "`probs_or_confidence`.*sum to 1.*softmax"),
    "logits for sets": (lambda: Conformal.fit(LOGITS, Y, 0.2), "`probs`.*sum to 1.*softmax"),
    "probabilities for logits": (
        lambda: pair().calibrate((torch.stack([PROBS, PROBS]), Y)),
        "`member_logits` must be logits.*got probabilities",
    ),
    "one class": (lambda: pair().calibrate([(X, Y * 0)]), "`labels`.*at least 2 classes.*only class 0"),
    "alpha 0": (lambda: Conformal.fit(PROBS, Y, 0.0), r"`alpha`.*between 0 and 1 \(got 0.0\)"),
    "alpha 1": (lambda: pair().conformalize([(X, Y)], alpha=1.0), r"`alpha`.*between 0 and 1 \(got 1.0\)"),
    "too few samples for alpha": (lambda: pair().conformalize([(X, Y)], alpha=0.01), "at least 99 samples.*got 8"),
    "method of sets": (lambda: Conformal.fit(PROBS, Y, 0.2, method="top"), "`method`.*'lac', 'aps', 'raps'"),
    "sets of values": (lambda: values().conformalize([(FOUR, FOUR[:, :1])]), "`task`.*'regression'.*variance"),
    "distilled values": (lambda: values().distill(nn.Linear(4, 1), [FOUR]), "`ensemble`.*regression"),
    "trimmed values": (lambda: values().trim([(FOUR, FOUR[:, :1])]), "`trim`.*regression"),
    "suite": (lambda: evaluate(pair(), (X, Y), shifted="cifar16"), "`suite`.*'cifar15', 'extra4', 'all19'"),
    "rate": (lambda: pair().fit([(X, Y)] * 2, lr=-1), r"`lr`.*positive.*\(got -1\)"),
    "epochs": (lambda: pair().fit([(X, Y)] * 2, epochs=0), r"`epochs`.*>= 1 \(got 0\)"),
    "an empty list to fit": (lambda: pair().fit([]), "`source`.*an empty list.*Give a loader"),
    "batches to fit": (lambda: pair().fit([(X, Y)] * 3), "`source`.*a list of 3 batches.*Join.*ArrayLoader"),
    "a generator to fit": (lambda: pair().fit(one for one in [(X, Y)]), "`source`.*a generator.*once for each epoch"),
    "a number as preparation": (lambda: evaluate(pair(), (X, Y), prepare=5), r"`prepare`.*function.*prepare\(inputs\)"),
    "severities": (
        lambda: evaluate(pair(), (X, Y), Shift(severities=[0, 3, 9], names=["fog"])),
        r"`severities`.*1 to 5 \(got 0, 9\)\. Give",
    ),
    "a member's number": (lambda: hatch(net(), X, 0), r"`members`.*Give 5"),
    "a seed": (lambda: hatch(net(), X, 2, rng_seed=-1), r"`rng_seed`.*Give 0"),
    "a rounding": (lambda: hatch(net(), X, 2, align=0), r"`align`.*Give 8"),
    "end of an ONNX path": (lambda: pair().export("ens.txt", X), r"`path`.*\.onnx.*ens\.txt"),
}
IMAGES = {
    "unknown corruption": (lambda: corrupt(BYTES, "fogg", 1), "`name`.*'gaussian_noise'.*'fogg'"),
    "severity 6": (lambda: corrupt(BYTES, "fog", 6), r"`severity`.*1 to 5 \(got 6\)"),
    "severity 0": (lambda: corrupt(BYTES, "fog", 0), r"`severity`.*1 to 5 \(got 0\)"),
    "severity 1.5": (lambda: corrupt(BYTES, "fog", 1.5), r"`severity`.*1 to 5 \(got 1.5\)"),
    "floats above 1": (lambda: corrupt(torch.full((1, 3, 8, 8), 2.0), "fog", 1), r"`images`.*\[0, 1\].*got 2 to 2"),
    "NaN": (lambda: corrupt(torch.full((1, 3, 8, 8), float("nan")), "fog", 1), r"`images`.*\[0, 1\].*nan in 1 of 1"),
    "bytes with channels first": (
        lambda: corrupt(BYTES.transpose(0, 3, 1, 2), "fog", 1),
        r"`images`.*\(N, H, W, C\).*\(N, C, H, W\).*images.transpose\(0, 2, 3, 1\)",
    ),
    "four channels": (lambda: corrupt(np.zeros((2, 8, 8, 4), np.uint8), "fog", 1), "`images`.*1 or 3 channels.*got 4"),
    "small images": (lambda: corrupt(np.zeros((2, 7, 8, 3), np.uint8), "fog", 1), "`images`.*at least 8 pixels"),
    "colours of gray images": (lambda: corrupt(BYTES[..., :1], "saturate", 1), "`name`.*'saturate' for 1 channel"),
}


@pytest.mark.parametrize("case", WIDENING)
def test_what_cannot_be_hatched(case):
    call, kind, message = WIDENING[case]
    with pytest.raises(kind, match=message):
        call()


@pytest.mark.parametrize("case", ANSWERS)
def test_what_cannot_be_answered(case):
    call, message = ANSWERS[case]
    with pytest.raises(InputError, match=message):
        call()


@pytest.mark.parametrize("case", IMAGES)
def test_what_cannot_be_corrupted(case):
    call, message = IMAGES[case]
    with pytest.raises(InputError, match=message):
        call()


def test_shared_weights_are_widened_together_and_stay_shared():
    model = nn.Sequential(nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, 6), nn.ReLU(), nn.Linear(6, 6), nn.Linear(6, 2))
    model[4].weight = model[2].weight
    wide, x = widen(model, FOUR), torch.randn(5, 4, generator=torch.Generator().manual_seed(0))
    assert wide[4].weight is wide[2].weight
    assert wide[2].weight.shape == (9, 9)
    assert all((layer.in_features, layer.out_features) == (9, 9) for layer in (wide[2], wide[4]))
    assert torch.allclose(wide(x), model(x), atol=1e-5)


def test_calibrating_on_what_the_members_were_trained_on_warns():
    ens, loader = pair(), ArrayLoader((X, Y), batch_size=4)
    ens.fit(loader, epochs=1)
    with pytest.warns(UserWarning, match="`calibration` is the training set itself"):
        ens.calibrate(loader)
    ens.calibrate(ArrayLoader((X, Y), batch_size=4))  # other data: no warning, which would be an error here
    assert copy.deepcopy(ens)._trained_on.is_same(loader) is False


def test_a_damaged_file_is_refused_and_nothing_is_loaded(tmp_path):
    ens, path = pair(), tmp_path / "ens.safetensors"
    linnet.save(ens, path)
    path.write_bytes(path.read_bytes()[:-100])
    other = pair()
    before = copy.deepcopy(other.state_dict())
    with pytest.raises(CheckpointError, match=r"ens\.safetensors.*damaged"):
        linnet.load(other, path)
    assert all(torch.equal(tensor, before[name]) for name, tensor in other.state_dict().items())


def test_without_onnx_the_line_to_install_is_told_and_no_file_is_left(tmp_path, monkeypatch):
    for name in ("onnx", "onnxscript", "onnxruntime"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(MissingExtra, match=r'pip install "linnet\[onnx\]"'):
        pair().export(tmp_path / "ens.onnx", X)
    assert not list(tmp_path.iterdir())


def test_a_member_that_diverges_is_named_and_the_others_go_on(caplog):
    members = [net() for _ in range(3)]
    nn.init.constant_(members[1][5].weight, 1e38)
    ens = HatchEnsemble(members)
    found = ens.fit(ArrayLoader((X, Y), batch_size=4), epochs=2, lr=0.01)
    assert list(found.stopped) == [1]
    assert (found.members, len(ens)) == (2, 2)
    assert "members[1] is stopped" in caplog.text
    assert evaluate(ens, (X, Y)).metrics["clean"]["nll"] > 0


def test_a_member_is_no_student_and_stays_as_it_was():
    torch.manual_seed(0)
    ens = pair()
    before = copy.deepcopy(ens.state_dict())
    for student in (ens.members[0], ens, nn.Sequential(ens.members[1])):
        with pytest.raises(InputError, match=r"`student` must have weights of its own.*copy\.deepcopy"):
            ens.distill(student, ArrayLoader((X, Y), batch_size=4))
    assert all(torch.equal(tensor, before[name]) for name, tensor in ens.state_dict().items())


def test_a_file_in_the_place_of_the_folder_is_refused(tmp_path):
    torch.manual_seed(0)
    (tmp_path / "file").write_text("mine")
    with pytest.raises(InputError, match=r"`folder` must be a folder \(got the file .*file\)"):
        pair().fit(ArrayLoader((X, Y), batch_size=4), folder=tmp_path / "file")
    assert (tmp_path / "file").read_text() == "mine"


def test_a_file_of_another_task_is_refused(tmp_path):
    torch.manual_seed(0)
    path = linnet.save(HatchEnsemble([nn.Linear(3, 2), nn.Linear(3, 2)], "regression"), tmp_path / "ens.safetensors")
    with pytest.raises(CheckpointError, match=r"`task` must be 'regression'.*\(got 'classification'\)"):
        linnet.load(HatchEnsemble([nn.Linear(3, 2), nn.Linear(3, 2)]), path)
    assert linnet.load(HatchEnsemble([nn.Linear(3, 2), nn.Linear(3, 2)], "regression"), path).task == "regression"
