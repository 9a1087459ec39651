"""Calls that can't work are refused by one error before anything is changed or written."""

import copy

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy

import linnet
from linnet.data import ArrayLoader
from linnet.ensemble import Conformal, Hatch, HatchEnsemble, Shift, compare, ece, evaluate, hatch, trim, widen
from linnet.ensemble.calibration.scaling import holds_outputs
from linnet.errors import GraphError, InputError, LinnetError, TrainingError

X = torch.randn(8, 1, 8, 8, generator=torch.Generator().manual_seed(0))
Y = torch.arange(8) % 3
RGB, FOUR = X.repeat(1, 3, 1, 1), torch.zeros(2, 4)


def net(classes=3):
    return nn.Sequential(
        nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Conv2d(4, 4, 3), nn.Flatten(), nn.Linear(64, classes)
    )


@pytest.fixture(autouse=True)
def _seeded():
    torch.manual_seed(0)


def pair():
    return HatchEnsemble([net(), net()]).eval()


def shifted(**settings):
    return evaluate(pair(), (X.sigmoid(), Y), shifted=Shift(**settings))


def batches(x=X, y=Y):
    return ArrayLoader((x, y), batch_size=4)


class TwoHeads(nn.Module):
    def __init__(self):
        super().__init__()
        self.body, self.left, self.right = nn.Linear(4, 6), nn.Linear(6, 2), nn.Linear(6, 5)

    def forward(self, x):
        hidden = self.body(x).relu()
        return self.left(hidden), self.right(hidden)


FITS = {
    "labels out of range": (
        lambda e: e.fit(batches(y=Y + 5)),
        r"`source` .*labels from 0 to 2.*\(got 5 to 7\)|got 6 to 7",
    ),
    "labels below 0": (lambda e: e.fit(batches(y=Y - 50)), "`source` .*labels from 0 to 2"),
    "float labels": (lambda e: e.fit(batches(y=Y.float())), r"`source` .*whole numbers \(got float32\)"),
    "labels with an axis too many": (lambda e: e.fit(batches(y=Y[:, None])), r"`source` .*shape \(4,\).*got \(4, 1\)"),
    "colour images": (
        lambda e: e.fit(batches(RGB)),
        r"`source` .*`Sequential` can run on \(got \(4, 3, 8, 8\) float32",
    ),
    "whole numbers as images": (lambda e: e.fit(batches(X.long())), "`source` .*int64"),
    "inputs alone": (lambda e: e.fit(ArrayLoader((X,), batch_size=4)), "`source` gave a tuple of 1; pairs"),
    "a pair of tensors": (lambda e: e.fit((X, Y)), r"`source` .*list of 2 loaders.*got a pair of tensors.*ArrayLoader"),
    "a batch": (
        lambda e: e.fit([(X, Y)]),
        r"`source` .*list of 2 loaders.*got a list of 1 batch of tensors.*ArrayLoader",
    ),
    "two batches": (
        lambda e: e.fit([(X, Y)] * 2),
        r"`source` .*list of 2 loaders.*got a list of 2 batches of tensors.*Array",
    ),
    "a tensor": (lambda e: e.fit(X), "`source` .*got a tensor"),
    "a number": (lambda e: e.fit(5), "`source` must be"),
    "a function of one argument": (
        lambda e: e.fit(lambda a: None),
        r"`source` .*train_one\(model, member_index\).*\(a\)",
    ),
    "a rate by name": (lambda e: e.fit(batches(), lr="a"), r"`lr` .*positive number, or 2 of them \(got 'a'\)"),
    "rates by name": (lambda e: e.fit(batches(), lr=[0.1, "a"]), "`lr` .*positive"),
    "no rate": (lambda e: e.fit(batches(), lr=None), "`lr` .*positive"),
    "epochs by name": (lambda e: e.fit(batches(), epochs="a"), "`epochs` .*>= 1 .*'a'"),
    "half an epoch": (lambda e: e.fit(batches(), epochs=0.5), r"`epochs` .*>= 1 \(got 0.5\)"),
    "clipping below 0": (lambda e: e.fit(batches(), grad_clip=-1), "`grad_clip` .*positive"),
    "an optimizer by name": (lambda e: e.fit(batches(), optimizer="sgd"), r"`optimizer` .*lr=rate\) \(got 'sgd'\)"),
    "a loss by name": (lambda e: e.fit(batches(), loss="mse"), r"`loss` .*outputs, targets\) \(got 'mse'\)"),
    "a loss that doesn't fit": (
        lambda e: e.fit(batches(), loss=lambda out, y: (out - y).sum()),
        r"`loss` .*outputs \(4, 3\) float32 and targets \(4,\) int64",
    ),
    "a schedule by name": (lambda e: e.fit(batches(), schedule="cosine"), "`schedule` .*Schedule.*'cosine'"),
    "a device by name": (lambda e: e.fit(batches(), compute="cpu"), "`compute` .*Compute.*'cpu'"),
    "stacked by name": (lambda e: e.fit(batches(), stacked="no"), "`stacked` must be True or False.*'no'"),
    "a seed by name": (lambda e: e.fit(batches(), rng_seed="a"), "`rng_seed` .*>= 0 .*'a'"),
    "a folder by number": (lambda e: e.fit(batches(), folder=5), r"`folder` .*path of a folder.*\(got 5\)"),
}


@pytest.mark.parametrize("case", FITS)
def test_what_cannot_be_fitted_leaves_the_members_as_they_were(case):
    call, message = FITS[case]
    ens = pair()
    before = copy.deepcopy(ens.state_dict())
    with pytest.raises(InputError, match=message):
        call(ens)
    assert all(torch.equal(tensor, before[name]) for name, tensor in ens.state_dict().items())
    assert not any(module.training for module in ens.modules())


@pytest.mark.parametrize("stacked", [False, True])
def test_a_bad_label_in_a_later_batch_leaves_the_members_as_they_were(stacked):
    ens = pair()
    before = copy.deepcopy(ens.state_dict())
    loader = [(X[:4], Y[:4]), (X[4:], Y[4:] + 5)]

    class Later:
        def __len__(self):
            return 2

        def epoch(self, index, start=0, rank=0, world=1):
            yield from loader[start:]

    with pytest.raises(InputError, match=r"`source` .*labels from 0 to 2"):
        ens.fit(Later(), stacked=stacked)
    assert all(torch.equal(tensor, before[name]) for name, tensor in ens.state_dict().items())


def test_members_with_other_outputs_are_refused_before_training_and_with_an_example_at_once():
    unlike = [net(), net(5)]
    before = copy.deepcopy(unlike[0].state_dict())
    with pytest.raises(InputError, match=r"`members` must have equal outputs.*\(4, 3\).*members\[1\] \(4, 5\)"):
        HatchEnsemble(unlike).fit(batches())
    assert all(torch.equal(tensor, before[name]) for name, tensor in unlike[0].state_dict().items())
    with pytest.raises(InputError, match=r"`members` must have equal outputs.*\(8, 3\).*members\[1\] \(8, 5\)"):
        HatchEnsemble(unlike, example=X)
    with pytest.raises(InputError, match=r"`example` .*can run on"):
        HatchEnsemble([net()], example=RGB)
    assert len(HatchEnsemble([net(), net()], example=X)) == 2
    assert unlike[0].training


def test_labels_that_cross_entropy_leaves_out_and_probabilities_are_trained_on():
    for targets, loss in (
        (torch.where(Y == 2, -100, Y), cross_entropy),
        (torch.where(Y == 2, 7, Y), nn.CrossEntropyLoss(ignore_index=7)),
        (torch.eye(3)[Y], cross_entropy),
    ):
        assert pair().fit(batches(y=targets), loss=loss, stacked=False).members == 2


def test_the_trial_of_the_first_batch_leaves_statistics_and_random_numbers_alone():
    from linnet.engine import Compute
    from linnet.ensemble.training.first_batch import require_trainable

    members = [nn.Sequential(net()[:4], nn.Dropout(), nn.Flatten(), nn.Linear(64, 3)) for _ in range(2)]
    before, state = copy.deepcopy(members[0].state_dict()), torch.random.get_rng_state()
    require_trainable(members, (X, Y), cross_entropy, Compute("cpu"), separate=False)
    assert all(torch.equal(tensor, before[name]) for name, tensor in members[0].state_dict().items())
    assert torch.equal(torch.random.get_rng_state(), state)


HATCHES = {
    "one network as members": (
        lambda: HatchEnsemble(net()),
        r"`members` must be a list of networks \(got one Sequential",
    ),
    "a number as members": (lambda: HatchEnsemble(5), r"`members` must be a list of networks \(got 5\)"),
    "a number as the network": (lambda: hatch(5, X, 2), r"`model` must be a torch.nn.Module.*\(got int\)"),
    "a number as data": (lambda: hatch(net(), X, 2, data=5), r"`data` .*batches \(got 5\).*split"),
    "data for a network without statistics": (
        lambda: hatch(nn.Sequential(nn.Linear(4, 6), nn.Linear(6, 2)), FOUR, 2, data=5),
        r"`data` .*batches \(got 5\)",
    ),
    "one tensor as data": (lambda: hatch(net(), X, 2, data=X), r"`data` .*\(got one tensor\).*x.split\(64\)"),
    "numbers as data": (lambda: hatch(net(), X, 2, data=[5]), r"`data` .*tensor \(got int\)"),
    "no data": (lambda: hatch(net(), X, 2, data=[]), "`data` gave no batch"),
    "colour images as data": (lambda: hatch(net(), X, 2, data=[RGB]), r"`data` .*can run on \(got \(8, 3, 8, 8\)"),
    "one tensor as data to widen": (lambda: widen(net(), X, data=X), "`data` .*got one tensor"),
    "a seed by name": (lambda: hatch(net(), X, 2, rng_seed="a"), "`rng_seed` .*whole number >= 0 .*'a'"),
    "a seed to widen by name": (lambda: widen(net(), X, rng_seed="a"), "`rng_seed` .*whole number >= 0 .*'a'"),
    "a seed below 0": (lambda: widen(net(), X, rng_seed=-1), "`rng_seed` .*whole number >= 0 .*-1"),
    "an example with NaN": (lambda: hatch(net(), X * float("nan"), 2), "`example` .*NaN.*`input`"),
    "an example with NaN to widen": (lambda: widen(net(), X * float("nan")), "`example` .*NaN"),
    "two heads": (lambda: hatch(TwoHeads(), FOUR, 2), r"`model` .*one tensor of logits.*output\[0\].*output\[1\]"),
    "two unequal heads as values": (
        lambda: hatch(TwoHeads(), FOUR, 2, task="regression"),
        "`model` .*pair.*equal sizes",
    ),
    "a task": (lambda: hatch(net(), X, 2, task="rank"), "`task` .*'regression'"),
    "logits of samples as dense ones": (lambda: hatch(net(), X, 2, task="dense"), "`model` .*height, width"),
    "dense logits as those of samples": (lambda: hatch(net()[:4], X, 2), "`task` must be 'dense'"),
    "seeds with other outputs": (lambda: hatch([net(), net(5)], X, 2), r"`members` must have equal outputs"),
    "one factor as widths": (lambda: hatch(net(), X, 2, widths=5), r"`widths` .*2 factors > 1.*\(got 5\)"),
    "a trainer by number": (lambda: hatch(net(), X, 2, chain=True, train=5), r"`train` .*function.*\(got 5\)"),
    "a trainer of one argument": (
        lambda: hatch(net(), X, 2, chain=True, train=lambda a: None),
        r"`train` .*train\(member, index\).*\(a\)",
    ),
    "a trainer without a chain": (lambda: hatch(net(), X, 2, train=lambda a, b: None), "`train` .*`chain`"),
    "a share by name": (lambda: Hatch(X, at="a"), "`at` .*'a'"),
    "no members in the loop": (lambda: Hatch(X, members=0), r"`members` .*>= 1 \(got 0\)"),
    "an unknown option in the loop": (lambda: Hatch(X, nosie=0.1), "`nosie`.*Did you mean `noise`"),
}


@pytest.mark.parametrize("case", HATCHES)
def test_what_cannot_be_hatched(case):
    call, message = HATCHES[case]
    with pytest.raises(InputError, match=message):
        call()


def test_data_may_be_a_loader():
    ens = hatch(net(), X[:1], 2, data=batches())
    assert "measured again on 2 batches" in str(ens.widenings[0].notes)


ANSWERS = {
    "an empty set": (lambda: evaluate(pair(), (X[:0], Y[:0])), r"`clean` .*at least one sample \(got 0\)"),
    "an empty set from outside": (
        lambda: evaluate(pair(), (X, Y), ood=X[:0]),
        r"`ood` .*at least one sample \(got 0\)",
    ),
    "batches of 0": (lambda: evaluate(pair(), (X, Y), batch_size=0), r"`batch_size` .*>= 1 \(got 0\)"),
    "colour images": (lambda: evaluate(pair(), (RGB, Y)), r"`clean` .*can run on \(got \(8, 3, 8, 8\) float32"),
    "an empty set to calibrate": (lambda: pair().calibrate((X[:0], Y[:0])), r"`calibration` .*got 0"),
    "colour images to calibrate": (lambda: pair().calibrate([(RGB, Y)]), "`calibration` .*can run on"),
    "inputs alone to calibrate": (lambda: pair().calibrate(X), "`calibration` .*targets.*inputs alone"),
    "inputs alone for sets": (lambda: pair().conformalize([X]), "`calibration` .*targets.*inputs alone"),
    "a number to trim": (lambda: pair().trim(5), "`validation` .*loader"),
    "a tolerance by name": (lambda: trim(torch.randn(2, 8, 3), Y, tolerance="a"), "`tolerance` .*0 or more .*'a'"),
    "lengths that don't fit": (lambda: pair().calibrate((X, Y[:5])), r"`calibration` .*\(8, 1, 8, 8\) and \(5,\)"),
    "a student by name": (lambda: pair().distill("a", batches()), r"`student` must be a torch.nn.Module \(got str\)"),
    "a swapped student": (lambda: pair().distill(batches(), net()), "`student` must be.*ArrayLoader.*student, loader"),
    "a student's rate": (lambda: pair().distill(net(), batches(), lr="a"), "`lr` .*positive.*'a'"),
    "a student's epochs": (lambda: pair().distill(net(), batches(), epochs=0), "`epochs` .*>= 1"),
    "a student of colours": (lambda: pair().distill(nn.Conv2d(3, 3, 3), batches()), "`loader` .*`Conv2d` can run on"),
    "a list as reports": (lambda: compare([1, 2], "a"), r"`reports` must be a mapping.*\(got list\)"),
    "a report instead of a list": (
        lambda: compare({"a": evaluate(pair(), (X, Y), rng_seed=0)}, "a"),
        r"`reports\['a'\]` must be a list of reports.*\(got Report\)",
    ),
    "no reports": (lambda: compare({}, "a"), r"`reports` .*\(got none\)"),
    "reports without a seed": (
        lambda: compare({"a": [evaluate(pair(), (X, Y))]}, "a"),
        r"`reports\['a'\]` must have one seed each \(got rng_seed None\)",
    ),
    "measures as one word": (
        lambda: compare({"a": [evaluate(pair(), (X, Y), rng_seed=seed) for seed in (0, 1)]}, "a", measures="clean.nll"),
        r"`measures` must be a list.*got 'clean\.nll'.*measures=\['clean\.nll'\]",
    ),
    "half a bin": (lambda: evaluate(pair(), (X, Y), bins=1.5), r"`bins` must be a whole number >= 1 \(got 1\.5\)"),
    "half a bin of ece": (lambda: ece(torch.eye(3), torch.arange(3), 1.5), r"`bins` .*\(got 1\.5\)"),
    "alpha in quotes": (lambda: pair().conformalize((X, Y), "0.1"), r"`alpha` must be between 0 and 1 \(got '0\.1'\)"),
    "one severity": (lambda: shifted(severities=3), r"`severities` .*\(got 3\).*severities=\(1, 3, 5\)"),
    "no severities": (lambda: shifted(severities=()), r"`severities` must hold at least one.*\(got \(\)\)"),
    "no corruptions": (lambda: shifted(names=[]), r"`names` must hold at least one.*\(got \[\]\)"),
    "a corruption that isn't in a list": (lambda: shifted(names="fog"), r"`names` .*\(got 'fog'\).*names=\(\"fog\",\)"),
    "a random seed of None": (lambda: shifted(names=["fog"], rng_seed=None), r"`rng_seed` .*whole number \(got None\)"),
}


@pytest.mark.parametrize("case", ANSWERS)
def test_what_cannot_be_answered(case):
    call, message = ANSWERS[case]
    with pytest.raises(InputError, match=message):
        call()


def test_an_unknown_baseline_names_the_methods_and_nothing_else():
    report = evaluate(pair(), (X, Y), rng_seed=0)
    for reports in ({"hatched": [report], "single": [report]}, {"hatched": report, "single": report}):
        with pytest.raises(InputError) as raised:
            compare(reports, "singel")
        assert str(raised.value) == (
            "`baseline` must be one of 'hatched', 'single' (got 'singel'). Did you mean `single`?"
        )


def test_a_student_is_judged_and_test_data_read_before_it_is_trained():
    student = net()
    before = copy.deepcopy(student.state_dict())
    with pytest.raises(InputError, match=r"`clean` .*at least one sample"):
        pair().distill(student, batches(), test=(X[:0], Y[:0]))
    with pytest.raises(TrainingError, match=r"`student` gives \(8, 4\)"):
        pair().distill(net(4), ArrayLoader((X, Y), batch_size=8))
    assert all(torch.equal(tensor, before[name]) for name, tensor in student.state_dict().items())


EXPORTS = {
    "no example": (lambda d: (d / "ens.onnx",), r"`example` .*a tensor.*ens.export\("),
    "a missing folder": (lambda d: (d / "nowhere" / "ens.onnx", X), "`path` .*folder that exists.*nowhere"),
    "swapped arguments": (lambda d: (X, d / "ens.onnx"), r"`path` .*\(got a Tensor\).*export\(path, example\)"),
    "colour images": (lambda d: (d / "ens.onnx", RGB), r"`example` .*can run on \(got \(8, 3, 8, 8\) float32: Given"),
}


@pytest.mark.parametrize("case", EXPORTS)
def test_what_cannot_be_exported_is_told_plainly_and_writes_nothing(case, tmp_path):
    pytest.importorskip("onnxscript", reason="needs the extra onnx")
    pytest.importorskip("onnxruntime", reason="needs the extra onnx")
    call, message = EXPORTS[case]
    with pytest.raises(InputError, match=message) as raised:
        pair().export(*call(tmp_path))
    assert "\x1b" not in str(raised.value)
    assert not list(tmp_path.iterdir())


def test_an_exporter_s_error_is_quoted_without_colours_and_by_its_cause():
    from linnet.engine.onnx.model import _reason

    error = RuntimeError("\x1b[96mThis is step 1/3\x1b[0m of exporting")
    error.__cause__ = ValueError("the first line.\nthe second")
    assert _reason(error) == "ValueError: the first line"
    assert _reason(RuntimeError("\x1b[96mplain\x1b[0m")) == "RuntimeError: plain"


def scaled(factor):
    layer = nn.Linear(3, 3, bias=False)
    nn.init.eye_(layer.weight).data.mul_(factor)
    return layer


def test_a_pair_of_tensors_is_read_as_evaluate_reads_it():
    ens, generator = HatchEnsemble([scaled(1.0), scaled(1.5)]).eval(), torch.Generator().manual_seed(0)
    labels = torch.arange(40) % 3
    x = 2 * torch.eye(3)[labels] + torch.randn(40, 3, generator=generator)
    with torch.no_grad():
        outputs = ens.member_outputs(x)
    wanted = ens.calibrate([(x, labels)])
    assert ens.calibrate((x, labels)) == wanted
    assert ens.calibrate((x.numpy(), labels.numpy())) == wanted
    assert ens.calibrate((outputs, labels)) == wanted
    assert ens.conformalize((x, labels), 0.3) == ens.conformalize([(x, labels)], 0.3)
    assert ens.trim((x, labels), tolerance=0).full_nll == pytest.approx(trim(outputs, labels).full_nll, rel=1e-9)


def test_a_pair_that_may_be_inputs_or_outputs_is_refused():
    members = HatchEnsemble([nn.Sequential(nn.Flatten(), nn.Linear(12, 3)) for _ in range(4)])
    x, labels = torch.randn(4, 4, 3), torch.tensor([0, 1, 2, 0])
    with pytest.raises(InputError, match=r"`calibration` must tell inputs from outputs.*\[\(inputs, targets\)\]"):
        members.calibrate((x, labels))
    assert not holds_outputs(members, (torch.zeros(5, 5, 3), torch.zeros(5)), "calibration")
    assert holds_outputs(members, (torch.zeros(4, 5, 3), torch.zeros(5)), "calibration")


def test_sets_on_what_the_members_were_trained_on_warn():
    ens, loader = pair(), batches()
    ens.fit(loader, stacked=False)
    with pytest.warns(UserWarning, match="`calibration` is the training set itself"):
        ens.conformalize(loader, 0.3)
    ens.conformalize(batches(), 0.3)  # other data: no warning, which would be an error here


@pytest.mark.parametrize("method", ["lac", "aps", "raps"])
def test_a_saved_ensemble_comes_back_with_its_sets_and_in_its_mode(tmp_path, method):
    ens = pair()
    ens.conformalize((X, Y), 0.3, method, rng_seed=3)
    again = linnet.load(HatchEnsemble([net(), net()]), linnet.save(ens, tmp_path / "ens.safetensors"))
    assert again.conformal == ens.conformal
    assert torch.equal(again(X).sets, ens(X).sets)
    assert not any(module.training for module in again.modules())
    back = linnet.load(HatchEnsemble([net(), net()]).eval(), linnet.save(ens.train(), tmp_path / "train.safetensors"))
    assert all(module.training for module in back.modules())


def test_sets_of_all_classes_are_stored_and_a_file_without_facts_comes_back_in_eval_mode(tmp_path, monkeypatch):
    ens = pair()
    ens.conformal = Conformal(float("inf"), 0.01, n=8)
    again = linnet.load(HatchEnsemble([net(), net()]), linnet.save(ens, tmp_path / "ens.safetensors"))
    assert again.conformal == ens.conformal
    monkeypatch.setattr(HatchEnsemble, "saved_facts", lambda self: {})
    older = linnet.load(HatchEnsemble([net(), net()]), linnet.save(ens.train(), tmp_path / "older.safetensors"))
    assert older.conformal is None
    assert not older.training


def test_the_error_of_a_network_is_quoted_and_kept_as_the_cause():
    class Broken(nn.Module):
        def forward(self, x):
            raise KeyError("missing")

    with pytest.raises(InputError, match=r"`clean` .*`Broken` can run on .*'missing'") as raised:
        evaluate(Broken(), (X, Y))
    assert isinstance(raised.value.__cause__, KeyError)
    with pytest.raises(LinnetError):
        HatchEnsemble([nn.Linear(3, 2)], example=np.zeros(3))
    with pytest.raises(GraphError, match="`example`"):
        hatch(net(), 5, 2)
