import pytest
import torch
from torch import nn

from linnet.models import ResidualUNet, SmallUNet
from linnet.models.fold import fold_batch_norm


def trained(network):
    """Statistics and affine parameters as after training, in float64."""
    torch.manual_seed(3)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.weight, 0.2, 2.0)
            nn.init.normal_(module.bias)
            nn.init.normal_(module.running_mean)
            nn.init.uniform_(module.running_var, 0.1, 3.0)
    return network.double()


def norms(network):
    return sum(isinstance(m, nn.BatchNorm2d) for m in network.modules())


NETWORKS = {
    "with bias": (lambda: nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4)), 0),
    "grouped": (lambda: nn.Sequential(nn.Conv2d(3, 6, 3, groups=3, bias=False), nn.BatchNorm2d(6), nn.ReLU()), 0),
    "transposed": (lambda: nn.Sequential(nn.ConvTranspose2d(3, 4, 2, 2), nn.BatchNorm2d(4)), 0),
    "nested": (lambda: nn.Sequential(nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4)), nn.ReLU()), 0),
    "before the convolution": (lambda: nn.Sequential(nn.BatchNorm2d(3), nn.Conv2d(3, 4, 1)), 1),
    "twice": (lambda: nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4), nn.BatchNorm2d(4)), 1),
    "small": (lambda: SmallUNet((8, 8, 8), 4), 0),
    "paper": (lambda: ResidualUNet(width=4), 0),
}


@pytest.mark.parametrize("name", NETWORKS)
def test_the_folded_copy_is_the_same_function(name):
    make, left = NETWORKS[name]
    network = trained(make()).train()
    x = torch.randn(2, 3, 32, 48, dtype=torch.float64)
    before = {k: v.clone() for k, v in network.state_dict().items()}
    folded = fold_batch_norm(network)
    assert norms(folded) == left
    assert not folded.training
    assert network.training
    assert network.state_dict().keys() == before.keys()
    assert all(torch.equal(v, before[k]) for k, v in network.state_dict().items())
    torch.testing.assert_close(folded(x), network.eval()(x), rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("groups", [1, 2])
def test_grouped_transposed_convolutions(groups):
    network = trained(nn.Sequential(nn.ConvTranspose2d(4, 6, 2, 2, groups=groups), nn.BatchNorm2d(6))).eval()
    x = torch.randn(1, 4, 5, 5, dtype=torch.float64)
    torch.testing.assert_close(fold_batch_norm(network)(x), network(x), rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("options", [{"affine": False}, {"track_running_stats": False}])
def test_plain_norms_and_those_without_statistics(options):
    network = nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4, **options)).double().eval()
    x = torch.randn(2, 3, 5, 5, dtype=torch.float64)
    torch.testing.assert_close(fold_batch_norm(network)(x), network(x), rtol=1e-10, atol=1e-10)
