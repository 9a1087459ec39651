"""TrainedOn: the training data are known again by identity alone, wherever they come from."""

import copy
import gc

import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from linnet.data import ArrayLoader
from linnet.ensemble import HatchEnsemble, calibrate
from linnet.ensemble.training.trained_on import TrainedOn

X = torch.randn(24, 4, generator=torch.Generator().manual_seed(0))
Y = torch.arange(24) % 3
WARNING = "`calibration` is the training set itself"


@pytest.mark.parametrize(
    "made",
    [
        lambda: ArrayLoader((X, Y), batch_size=8),
        lambda: DataLoader(TensorDataset(X, Y), batch_size=8),
        lambda: [ArrayLoader((X[:12], Y[:12]), batch_size=8), ArrayLoader((X, Y), batch_size=8)],
    ],
)
def test_the_whole_tensors_of_a_loader_are_known(made):
    source = made()
    known = TrainedOn(source)
    assert all(known.is_same(loader) for loader in (source if isinstance(source, list) else [source]))
    for same in ((X, Y), [(X, Y)], (X.view(24, 4), Y.clone()), (X.numpy(), Y.numpy())):
        assert known.is_same(same)
    for other in ((X.clone(), Y), (X[1:], Y[1:]), (X[:13], Y[:13]), (X, Y, Y), [(X, Y), (X, Y)], None, X, made()):
        assert not known.is_same(other)
    assert not copy.deepcopy(known).is_same((X, Y))


def test_data_that_are_gone_are_forgotten():
    x = X.clone()
    known = TrainedOn(ArrayLoader((x, Y), batch_size=8))
    gc.collect()
    assert known.is_same((x, Y))
    del x
    gc.collect()
    assert not known.is_same((torch.empty_like(X), Y))


def test_members_that_are_calibrated_on_their_training_tensors_warn():
    torch.manual_seed(0)
    ens = HatchEnsemble([nn.Linear(4, 3) for _ in range(2)])
    loader = ArrayLoader((X, Y), batch_size=8)
    ens.fit(loader, stacked=False)
    with pytest.warns(UserWarning, match=WARNING):
        ens.calibrate((X, Y))
    with pytest.warns(UserWarning, match=WARNING):
        ens.conformalize((X, Y), 0.3)
    with pytest.warns(UserWarning, match=WARNING):
        calibrate(ens, (X, Y), training=loader)
    ens.calibrate((X.clone(), Y))  # other tensors: no warning, which would be an error here
    ens.conformalize((X.clone(), Y), 0.3)
    calibrate(ens, (X.clone(), Y), training=loader)
