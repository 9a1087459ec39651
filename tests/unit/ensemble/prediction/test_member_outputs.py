"""Outputs of ensembles and modules over loaders, tensors and pairs; modes are restored; bad sources are refused."""

import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from linnet.data import ArrayLoader
from linnet.ensemble.prediction.member_outputs import batches_of, evaluating, gather, outputs_of
from linnet.errors import InputError

X = torch.randn(10, 3, generator=torch.Generator().manual_seed(0))
Y = torch.arange(10) % 4


class Pair(nn.Module):
    """Two linear members, as any ensemble: a task, a temperature, the members' outputs."""

    task = "classification"
    temperature = None

    def __init__(self):
        super().__init__()
        self.members = nn.ModuleList([nn.Linear(3, 4), nn.Sequential(nn.Linear(3, 4), nn.Dropout(0.5))])

    def member_outputs(self, x):
        return torch.stack([member(x) for member in self.members])


@pytest.fixture
def pair():
    torch.manual_seed(0)
    return Pair()


def sources():
    loader = ArrayLoader((X, Y), batch_size=4, shuffle=False)
    return [(X, Y), loader, DataLoader(TensorDataset(X, Y), batch_size=3), [(X[:5], Y[:5]), [X[5:], Y[5:]]]]


@pytest.mark.parametrize("place", range(4))
def test_every_kind_of_source_gives_the_same(pair, place):
    found = gather(pair, sources()[place], argument="clean", task="classification")
    assert torch.allclose(found.outputs, pair.eval().member_outputs(X), atol=1e-6)
    assert torch.equal(found.targets, Y)
    assert not found.outputs.requires_grad


def test_inputs_alone_have_no_targets(pair):
    for source in (X, [X[:5], X[5:]], [(X,)]):
        found = gather(pair, source, argument="ood", task="classification", batch_size=4)
        assert found.targets is None
        assert found.outputs.shape == (2, 10, 4)


def test_a_module_is_an_ensemble_of_one(pair):
    linear = pair.members[0]
    assert torch.equal(outputs_of(linear, X), linear(X)[None])

    class Two(nn.Module):
        def forward(self, x):
            return x, x + 1

    means, log_variances = outputs_of(Two(), X)
    assert torch.equal(means, X[None])
    assert torch.equal(log_variances, X[None] + 1)


def test_each_module_has_its_own_mode_afterwards_even_after_an_error(pair):
    pair.train()
    pair.members[1][0].eval()
    before = [module.training for module in pair.modules()]

    def fail():
        with evaluating(pair):
            assert not any(module.training for module in pair.modules())
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert [module.training for module in pair.modules()] == before


def test_inputs_are_prepared_first(pair):
    whole = gather(pair, X * 2, argument="x", task="classification", prepare=lambda x: x / 2)
    assert torch.allclose(whole.outputs, pair.eval().member_outputs(X), atol=1e-6)


class Same(nn.Module):
    def forward(self, x):
        return x


def logits_with_nan():
    z = torch.randn(4, 3, generator=torch.Generator().manual_seed(1))
    z[1, 1] = float("nan")
    return z


@pytest.mark.parametrize(
    ("model", "source", "task", "said"),
    [
        (Same(), [], "classification", "`clean` must give at least one batch"),
        (Same(), 5, "classification", "`clean`.*int"),
        (Same(), (X, Y[:3]), "classification", "10 inputs and 3 targets"),
        (Same(), [{"x": X}], "classification", "dict"),
        (Same(), [(X, Y), X], "classification", "both kinds"),
        (Same(), logits_with_nan(), "classification", r"`members\[0\]`.*finite"),
        (Same(), X.softmax(1), "classification", "logits.*probabilities"),
        (Same(), X, "dense", "`task`"),
        (Same(), torch.zeros(2, 3, 4, 4), "classification", "`task`.*dense"),
        (Same(), X[:, :1], "classification", "2 classes"),
        ([nn.Linear(3, 3)], X, "classification", "HatchEnsemble"),
    ],
)
def test_what_cannot_be_gathered_is_refused(model, source, task, said):
    with pytest.raises(InputError, match=said):
        gather(model, source, argument="clean", task=task)


def test_an_output_that_is_no_tensor_is_refused():
    class Names(nn.Module):
        def forward(self, x):
            return {"logits": x}

    with pytest.raises(InputError, match="dict"):
        outputs_of(Names(), X)


def test_a_pair_of_tensors_is_divided_into_batches():
    assert [len(x) for x, _ in batches_of((X, Y), argument="clean", batch_size=4)] == [4, 4, 2]
