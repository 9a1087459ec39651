"""Random small networks that a stream of one pixel a clock can hold, few channels wide so that they compile fast."""

import torch
from torch import nn

from linnet.errors import FreezeError, GraphError
from linnet.jet import BinaryConv2d, BinaryLinear, JetConv2d, Program, Sign, freeze
from linnet.jet.verilog.network import design
from tests.jet_networks import draw_norms, pick, whole


def stream_program(seed: int) -> tuple[Program, torch.Tensor]:
    """The first program that the Verilog holds among those of a seed, with frames."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        while True:
            try:
                program, pixels = _drawn()
                design(program.graph, *program.graph.input_shape[1:], "net")
            except (FreezeError, GraphError):
                continue  # too small a map for a kernel, or for its border
            return program, pixels


def _drawn() -> tuple[Program, torch.Tensor]:
    channels, size = whole(1, 3), (whole(3, 12), whole(3, 12))
    scale, input_range, pad = pick(
        [((1.0, 0.0), (0, 255), 0.0), ((2 / 255, -1.0), (0, 255), -1.0), ((1.0, 0.0), (-8, 7), 0.0)]
    )
    pixels = torch.randint(input_range[0], input_range[1] + 1, (4, channels, *size))
    layers: list[nn.Module] = []
    for number in range(whole(1, 2)):
        width = whole(1, 4)
        layers += [_convolution(channels, width, pad if number == 0 else pick([-1, 1])), *_rest(width)]
        channels = width
    net = nn.Sequential(*layers)
    try:
        with torch.no_grad():
            found = net.eval()(pixels.float())
    except RuntimeError as error:
        raise FreezeError(f"`net` has a map that is too small ({error}).") from error
    net.extend(_head(found.shape[1:]))
    draw_norms(net)
    return freeze(net.eval(), pixels, scale, input_range), pixels


def _convolution(channels: int, width: int, pad: float) -> nn.Module:
    size, stride = whole(1, 5), pick([1, 1, 1, 2, 3])
    padding = pick([0, (size - 1) // 2])
    if size == 1 or torch.rand(()) < 0.4:
        return BinaryConv2d(channels, width, size, stride, padding, pad)
    normalise = "shift" if size < 5 and torch.rand(()) < 0.3 else None
    return JetConv2d(channels, width, size, pick(["free", "first_one"]), stride, padding, pad, normalise)


def _rest(width: int) -> list[nn.Module]:
    block: list[nn.Module] = [nn.BatchNorm2d(width), Sign()]
    pool = pick([None, None, nn.MaxPool2d(2), nn.MaxPool2d(3, 2), nn.AvgPool2d(2), nn.MaxPool2d((1, 2))])
    if pool is not None:
        block.insert(pick([0, 2] if isinstance(pool, nn.MaxPool2d) else [0]), pool)
    return block


def _head(shape: torch.Size) -> list[nn.Module]:
    channels, classes = shape[0], whole(1, 3)
    choice = pick(["sign", "conv", "linear", "scores", "average", "maps"])
    if choice == "conv":
        return [BinaryConv2d(channels, classes, 1)]
    if choice == "maps":
        return [JetConv2d(channels, classes, 2), nn.BatchNorm2d(classes)]
    if choice == "average":
        return [nn.AdaptiveAvgPool2d(1), nn.Flatten(), BinaryLinear(channels, classes), nn.BatchNorm1d(classes)]
    if choice == "sign":
        return []
    layers: list[nn.Module] = [nn.Flatten(), BinaryLinear(int(torch.tensor(shape).prod()), classes)]
    return [*layers, nn.BatchNorm1d(classes)] if choice == "scores" else layers
