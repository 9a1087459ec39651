"""The networks: one plain convolution network of any widths, with dropout or with rank-1 factors for each member."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn


class Net(nn.Module):
    """3x3 convolutions with batch norm, pooling after the second and the fourth, mean, linear.

    Args:
        channels: Of the images.
        widths: Channels of the layers.
        classes: Number of logits.
        dropout: Rate before each layer from the second on, and before the last.
    """

    def __init__(self, channels: int, widths: Sequence[int], classes: int = 10, dropout: float = 0.0) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        inputs = channels
        for number, outputs in enumerate(widths):
            if dropout and number:
                layers.append(nn.Dropout2d(dropout))
            layers += [nn.Conv2d(inputs, outputs, 3, padding=1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU()]
            if number in (1, 3):
                layers.append(nn.MaxPool2d(2))
            inputs = outputs
        self.features = nn.Sequential(*layers)
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(inputs, classes)

    def forward(self, images: Tensor) -> Tensor:
        """Logits (N, classes) of images (N, C, H, W)."""
        return self.head(self.dropout(self.features(images).mean((2, 3))))


def network(channels: int, widths: Sequence[int], *, rng_seed: int, dropout: float = 0.0) -> Net:
    """A freshly drawn network; the global random state stays as it is."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(rng_seed)
        return Net(channels, widths, dropout=dropout).to(memory_format=torch.channels_last)


class RankOne(nn.Module):
    """A layer with factors for each member: y = (W (x * s_k)) * r_k + b_k. The batch is M parts, one for a member.

    Args:
        layer: A convolution or a linear layer; its own bias is dropped.
        members: M.

    Source:
        Wen et al. 2020 (BatchEnsemble); random signs at the start.
    """

    def __init__(self, layer: nn.Conv2d | nn.Linear, members: int) -> None:
        super().__init__()
        self.layer = layer
        inputs, outputs = layer.weight.shape[1], layer.weight.shape[0]
        layer.bias = None
        self.s = nn.Parameter(torch.randint(0, 2, (members, inputs)) * 2.0 - 1)
        self.r = nn.Parameter(torch.randint(0, 2, (members, outputs)) * 2.0 - 1)
        self.b = nn.Parameter(torch.zeros(members, outputs))
        for factor in (self.s, self.r, self.b):
            factor.without_decay = True  # type: ignore[attr-defined]

    def forward(self, x: Tensor) -> Tensor:
        """(N, O, ...) of (N, I, ...): rows k N / M .. (k + 1) N / M are member k's."""
        if len(x) % len(self.s):
            raise ValueError(f"a batch of {len(x)} can't be dealt out to {len(self.s)} members.")
        each, rest = len(x) // len(self.s), (1,) * (x.ndim - 2)

        def rows(factor: Tensor) -> Tensor:
            return factor.repeat_interleave(each, 0).unflatten(1, (-1, *rest))

        return self.layer(x * rows(self.s)) * rows(self.r) + rows(self.b)


class BatchEnsemble(nn.Module):
    """A network whose members share all weights but rank-1 factors.

    In training, a batch is dealt out to the members; asked for all members' answers, each sees every image.

    Args:
        net: The shared network.
        members: M.
    """

    task = "classification"
    temperature = None

    def __init__(self, net: Net, members: int) -> None:
        super().__init__()
        self.members_count = members
        for number, layer in enumerate(net.features):
            if isinstance(layer, nn.Conv2d):
                net.features[number] = RankOne(layer, members)
        net.head = RankOne(net.head, members)  # type: ignore[assignment,arg-type]
        self.net = net

    def forward(self, images: Tensor) -> Tensor:
        """Logits of a batch that is dealt out to the members."""
        return self.net(images)

    def member_outputs(self, x: Tensor) -> Tensor:
        """(M, N, C): every member's logits of every image."""
        return self.net(x.repeat(self.members_count, 1, 1, 1)).unflatten(0, (self.members_count, -1))


class StochasticPasses(nn.Module):
    """A network with dropout as an ensemble of M passes in which dropout stays on.

    Args:
        net: Trained with dropout.
        passes: M.

    Source:
        Gal & Ghahramani 2016; batch norms in eval mode.
    """

    task = "classification"
    temperature = None

    def __init__(self, net: Net, passes: int) -> None:
        super().__init__()
        self.net, self.passes = net, passes

    def member_outputs(self, x: Tensor) -> Tensor:
        """(M, N, C): logits of each pass; the draws are the same for the same number of images."""
        self.net.eval()
        for module in self.net.modules():
            if isinstance(module, (nn.Dropout, nn.Dropout2d)):
                module.train()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(len(x))
            found = torch.stack([self.net(x) for _ in range(self.passes)])
        self.net.eval()
        return found
