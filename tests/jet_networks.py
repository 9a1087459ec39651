"""Random small networks of jets and binary layers, built to meet every path of freezing and of the backends.

Ties (integer means, beta 0), slopes of both signs and zero, odd sizes, 1 to 70 channels, strides, pads of both signs,
overlapping pools, average pools, branches, and every kind of output.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from linnet.jet import BinaryConv2d, BinaryLinear, JetConv2d, Sign


@dataclass
class Drawn:
    """A network in eval mode with pixels that it takes."""

    net: nn.Module
    pixels: Tensor
    scale: tuple[float, float]
    input_range: tuple[int, int]


class Branches(nn.Module):
    """Two convolutions of one map whose signs are joined, or whose integers are added before the threshold."""

    def __init__(self, channels: int, width: int, *, join: str) -> None:
        super().__init__()
        self.join = join
        self.left = JetConv2d(channels, width, 3, padding=1, pad_value=1)
        self.right = BinaryConv2d(channels, width, 1)
        self.norms = nn.ModuleList(nn.BatchNorm2d(width) for _ in range(2))
        self.sign = Sign()
        self.out = 2 * width if join == "cat" else width

    def forward(self, x: Tensor) -> Tensor:
        left, right = self.left(x), self.right(x)
        if self.join == "add":
            return self.sign(self.norms[0](left + right))
        left, right = self.sign(self.norms[0](left)), self.sign(self.norms[1](right))
        if self.join == "cat":
            return torch.cat((left, right), 1)
        return self.sign(self.norms[1](left + right))


def random_network(seed: int) -> Drawn:
    """The network of a seed: the same at each call, whatever else draws random numbers."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return _drawn()


def _drawn() -> Drawn:
    channels, side = whole(1, 4), (whole(7, 17), whole(7, 17))
    scale, input_range = pick([((1.0, 0.0), (0, 255)), ((2 / 255, -1.0), (0, 255)), ((1.0, 0.0), (-8, 7))])
    pad = {(1.0, 0.0): 0.0, (2 / 255, -1.0): -1.0}[scale]
    layers: list[nn.Module] = []
    first = True
    size = side
    for _ in range(whole(1, 3)):
        width = whole(1, 70) if not first or torch.rand(()) < 0.5 else whole(1, 9)
        layer = _convolution(channels, width, pad if first else pick([-1, 1]))
        spatial = [(n + 2 * layer.padding - layer.kernel_size) // layer.stride + 1 for n in size]
        if min(spatial) < 1:
            break
        layers.append(layer)
        size, channels, first = spatial, width, False
        size = _rest(layers, width, size)
        if torch.rand(()) < 0.2 and min(size) >= 1:
            layers.append(Branches(channels, min(width, 12), join=pick(["cat", "add", "signs"])))
            channels = layers[-1].out
    _head(layers, channels, size)
    net = nn.Sequential(*layers)
    draw_norms(net)
    pixels = torch.randint(input_range[0], input_range[1] + 1, (3, _channels(net), *side))
    return Drawn(net.eval(), pixels, scale, input_range)


def _convolution(channels: int, width: int, pad: float) -> JetConv2d | BinaryConv2d:
    stride, size = pick([1, 1, 1, 2, 3]), whole(1, 5)
    padding = whole(0, size - 1)
    if size == 1 or torch.rand(()) < 0.4:
        return BinaryConv2d(channels, width, size, stride, padding, pad)
    normalise = "shift" if size < 5 and torch.rand(()) < 0.3 else None
    return JetConv2d(channels, width, size, pick(["free", "first_one"]), stride, padding, pad, normalise)


def _rest(layers: list[nn.Module], width: int, size: list[int]) -> list[int]:
    """Norm, sign and perhaps a pool, in one of their orders."""
    pool = pick([None, None, nn.MaxPool2d(2), nn.MaxPool2d(3, 2), nn.AvgPool2d(2), nn.MaxPool2d((1, 2))])
    block: list[nn.Module] = [nn.BatchNorm2d(width), Sign()]
    window = _two(pool.kernel_size) if pool is not None else (1, 1)
    if pool is not None and min(n - w for n, w in zip(size, window, strict=True)) >= 0:
        places = [0, 1, 2] if isinstance(pool, nn.MaxPool2d) else [0, 1]
        block.insert(pick(places), pool)
        stride = _two(pool.stride)
        size = [(n - w) // s + 1 for n, w, s in zip(size, window, stride, strict=True)]
    if torch.rand(()) < 0.1:
        block = [layer for layer in block if not isinstance(layer, nn.BatchNorm2d)]
    layers.extend(block)
    return list(size)


def _head(layers: list[nn.Module], channels: int, size: list[int]) -> None:
    choice = pick(["sign", "conv", "linear", "scores", "scores", "average", "maps"])
    classes = whole(1, 11)
    if choice == "conv":
        layers.append(BinaryConv2d(channels, classes, 1))
    elif choice == "maps":
        layers += [JetConv2d(channels, classes, 2, padding=1), nn.BatchNorm2d(classes)]
    elif choice == "average":
        layers += [nn.AdaptiveAvgPool2d(1), nn.Flatten(), BinaryLinear(channels, classes), nn.BatchNorm1d(classes)]
    elif choice != "sign":
        layers += [nn.Flatten(), BinaryLinear(channels * size[0] * size[1], classes)]
        layers += [nn.BatchNorm1d(classes)] if choice == "scores" else []


def draw_norms(net: nn.Module) -> None:
    """Half of the channels meet exact ties: whole means and beta 0; slopes of both signs, some zero."""
    for module in net.modules():
        if isinstance(module, (nn.BatchNorm1d, nn.BatchNorm2d)):
            count = module.num_features
            tie = torch.rand(count) < 0.5
            module.running_mean.copy_(torch.where(tie, torch.randint(-3, 4, (count,)).float(), torch.randn(count) * 9))
            module.running_var.copy_(torch.rand(count) * 50 + 0.01)
            with torch.no_grad():
                module.weight.copy_(torch.randn(count) * (torch.rand(count) < 0.9))
                module.bias.copy_(torch.where(tie, 0.0, torch.randn(count)))


def _channels(net: nn.Sequential) -> int:
    return next(m.cin for m in net.modules() if isinstance(m, (JetConv2d, BinaryConv2d)))


def _two(value: int | tuple[int, int]) -> tuple[int, int]:
    return (value, value) if isinstance(value, int) else value


def whole(low: int, high: int) -> int:
    """A random whole number, both ends included."""
    return int(torch.randint(low, high + 1, ()))


def pick(choices):
    """One of the choices, at random."""
    return choices[whole(0, len(choices) - 1)]
