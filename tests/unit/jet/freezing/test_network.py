import copy

import pytest
import torch
from torch import nn
from torch.nn import functional

from linnet.errors import FreezeError, InputError
from linnet.jet import BinaryConv2d, BinaryLinear, JetConv2d, Sign, freeze
from linnet.jet.integer.nodes import Pool, Threshold

X = torch.randint(0, 256, (3, 1, 12, 12), generator=torch.Generator().manual_seed(0))


def block(cin, cout, **options):
    return [JetConv2d(cin, cout, **options), nn.BatchNorm2d(cout), Sign()]


class Written(nn.Module):
    """A forward of its own: functions, a branch, a layer used twice."""

    def __init__(self):
        super().__init__()
        self.first, self.twice = JetConv2d(1, 4, padding=1, pad_value=0), BinaryConv2d(4, 4, padding=1)
        self.bn1, self.bn2, self.bn3 = (nn.BatchNorm2d(4) for _ in range(3))
        self.sign, self.head = Sign(), BinaryLinear(8, 3)

    def forward(self, x):
        x = self.sign(self.bn1(functional.max_pool2d(self.first(x), 2)))
        y = self.sign(self.bn2(self.twice(x)))
        z = self.sign(self.bn3(self.twice(y) + self.twice(x)))
        return self.head(torch.cat((y, z), 1).mean((2, 3)))


def test_a_written_forward_with_a_layer_used_thrice_is_frozen():
    net = Written().eval()
    program = freeze(net, X)
    names = [node.name for node in program.graph.nodes]
    assert {"twice", "twice#2", "twice#3", "add", "cat"} <= set(names)
    torch.testing.assert_close(program.logits(X).float(), net(X.float()))


def test_the_network_and_its_mode_stay():
    net = nn.Sequential(*block(1, 4), nn.Dropout(0.5))
    net[3].eval()  # the norm is in training mode, and its statistics must not move
    before = copy.deepcopy(net.state_dict())
    freeze(net, X)
    assert net.training
    assert net[1].training
    assert not net[3].training
    assert all(torch.equal(before[k], v) for k, v in net.state_dict().items())
    assert not net[2]._forward_hooks


def test_a_max_pool_before_the_norm_is_or_for_rising_and_and_for_falling_channels():
    net = nn.Sequential(JetConv2d(1, 3), nn.MaxPool2d(2), nn.BatchNorm2d(3), Sign()).eval()
    net[2].weight.data = torch.tensor([1.0, -1.0, 0.0])
    net[2].running_mean.copy_(torch.tensor([40.5, -300.5, 0.0]))
    program = freeze(net, X)
    threshold, pool = (node.operation for node in program.graph.nodes[2:])
    assert isinstance(threshold, Threshold)
    assert isinstance(pool, Pool)
    assert pool.conjunction.tolist() == [False, True, False]
    assert torch.equal(program.run(X), net(X.float()).long())


def test_padding_of_the_first_layer_is_a_pixel():
    net = nn.Sequential(*block(1, 4, padding=1, pad_value=-1)).eval()
    program = freeze(net, X, pixels=(2 / 255, -1.0))
    assert program.graph.nodes[1].operation.pad_value == 0
    with pytest.raises(
        FreezeError, match=r"pads with -1, which is no whole pixel of 0\.\.255.*pad_value=0 \(pixel 0\)"
    ):
        freeze(net, X)


def test_prepared_floats_and_whole_pixels_are_the_same_example():
    net = nn.Sequential(*block(1, 4)).eval()
    scale = (1 / 255, -0.5)
    one, two = freeze(net, X, scale), freeze(net, X.float() * scale[0] + scale[1], scale)
    assert one.hash == two.hash


def test_a_tie_is_counted_and_not_met_again_in_the_next_layer():
    net = nn.Sequential(*block(1, 8), *block(8, 8)).eval()
    for norm in (net[1], net[4]):
        norm.weight.data.fill_(0.1)  # 0.1 / sqrt(var) has rounding errors, the tie none
        norm.bias.data.fill_(0.3)
        norm.running_mean.fill_(0.3)
        norm.running_var.fill_(0.7)
    program = freeze(net, X)
    assert torch.equal(program.trace(X)["2"], program.trace(X)["2"].sign())


def test_scores_close_rows_are_counted():
    net = nn.Sequential(*block(1, 4), nn.Flatten(), BinaryLinear(400, 2), nn.BatchNorm1d(2)).eval()
    with torch.no_grad():
        net[4].latents[1] = net[4].latents[0]  # two equal scores
    assert freeze(net, X).facts.close_rows == 3


def refused(*layers, **options):
    return lambda: freeze(nn.Sequential(*layers).eval(), X, **options)


class Scaled(nn.Module):
    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(*block(1, 2))

    def forward(self, x):
        return self.layers(x / 255)


class Mixed(Written):
    def forward(self, x):
        x = self.first(x)
        return self.sign(x) + x


NO_STATISTICS = nn.BatchNorm2d(4, track_running_stats=False)
NAN = JetConv2d(1, 4)
NAN.latents.data[0, 0, 0, 0, 0] = float("nan")


@pytest.mark.parametrize(
    ("attempt", "words"),
    [
        (refused(nn.Conv2d(1, 2, 3)), r"`0` \(Conv2d, `convolution`\) has real weights.*convert"),
        (
            refused(*block(1, 2), nn.Flatten(), nn.Linear(200, 2)),
            r"`4` \(Linear, `linear`\) has real weights.*BinaryLinear",
        ),
        (refused(JetConv2d(1, 2), nn.ReLU()), r"`1` \(ReLU, `relu`\).*linnet\.jet\.Sign"),
        (refused(JetConv2d(1, 2), nn.GELU()), r"`1` \(GELU.*Sign"),
        (refused(JetConv2d(1, 2), nn.Hardtanh()), r"`1` \(Hardtanh.*Sign"),
        (refused(*block(1, 2), *block(2, 2, padding=1, pad_value=0)), r"`3`.*zero padding of sign maps.*pad_value=-1"),
        (refused(JetConv2d(1, 4), NO_STATISTICS, Sign()), r"`1` .*no running statistics.*track_running_stats"),
        (refused(JetConv2d(1, 4), nn.BatchNorm2d(4), JetConv2d(4, 2)), r"`2`.*reads a batch norm directly.*Sign"),
        (refused(NAN, Sign()), r"`0\.latents` holds NaN"),
        (refused(JetConv2d(1, 2), nn.MaxPool2d(2, padding=1), Sign()), r"`1`.*padding=1.*padding=0"),
        (refused(JetConv2d(1, 2), nn.MaxPool2d(2, dilation=2), Sign()), r"`1`.*dilation=2"),
        (refused(JetConv2d(1, 2), nn.MaxPool2d(3, ceil_mode=True), Sign()), r"`1`.*ceil_mode=False"),
        (refused(JetConv2d(1, 2), nn.AvgPool2d(3, ceil_mode=True), Sign()), r"`1`.*ceil_mode=False"),
        (refused(JetConv2d(1, 2), nn.AvgPool2d(2, padding=1), Sign()), r"`1`.*padding=1"),
        (refused(JetConv2d(1, 2), nn.AdaptiveAvgPool2d(2), Sign()), r"`1`.*AvgPool2d"),
        (refused(JetConv2d(1, 2), nn.AdaptiveMaxPool2d(1), Sign()), r"`1`.*nn\.MaxPool2d with a window"),
        (refused(nn.ZeroPad2d(1), JetConv2d(1, 2)), r"pads outside a layer.*padding="),
        (refused(JetConv2d(1, 4), nn.InstanceNorm2d(4), Sign()), r"`1`.*BatchNorm2d"),
        (lambda: freeze(Scaled().eval(), X), r"`div`.*pixels=\(scale, shift\)"),
        (lambda: freeze(Mixed().eval(), X), r"adds a sign map and a map of integers"),
        (
            lambda: freeze(nn.Sequential(JetConv2d(1, 2), nn.Dropout(0.5)), X),
            r"`1` \(Dropout\) is in training mode.*eval",
        ),
        (lambda: freeze(nn.Identity(), X), r"returns its input"),
        (
            refused(
                *block(1, 2), nn.AvgPool2d(2), BinaryConv2d(2, 3), nn.BatchNorm2d(3), nn.MaxPool2d(2), nn.Flatten()
            ),
            None,
        ),
        (refused(BinaryConv2d(1, 2), input_range=(0, 70000)), r"`input_range`"),
        (refused(BinaryConv2d(1, 2), input_range=(3, 3)), r"`input_range`"),
        (refused(BinaryConv2d(1, 2), pixels=(0, 1)), r"`pixels`"),
        (refused(BinaryConv2d(1, 2), pixels=1.0), r"`pixels`"),
        (lambda: freeze(BinaryConv2d(1, 2), torch.full((1, 1, 8, 8), 0.5)), r"whole pixels \(got 0.5"),
        (lambda: freeze(BinaryConv2d(1, 2), torch.full((1, 1, 8, 8), 300)), r"pixels of 0\.\.255 \(got 300"),
        (lambda: freeze(BinaryConv2d(1, 2), torch.zeros(1, 8, 8)), r"`example`"),
        (lambda: freeze("net", X), r"`net`"),
        (lambda: freeze(BinaryConv2d(3, 2), X), r"`example` must be an input"),
    ],
)
def test_every_refusal_names_the_layer_the_reason_and_the_remedy(attempt, words):
    if words is None:
        attempt()  # averages of signs feed a convolution: exact
        return
    with pytest.raises(InputError, match=words):
        attempt()


def test_sums_beyond_32_bits_are_refused():
    net = nn.Sequential(BinaryLinear(70000, 2)).eval()
    with pytest.raises(FreezeError, match=r"`0` could reach .* fit into 32 bits"):
        freeze(net, torch.zeros(1, 70000), input_range=(-32768, 32767))


def test_a_hook_that_changes_a_layer_is_found_by_the_comparison():
    class Twisted(Sign):
        def forward(self, x):
            return -super().forward(x)

    with pytest.raises(FreezeError, match=r"`2`: the float64 network gives"):
        freeze(nn.Sequential(JetConv2d(1, 2), nn.BatchNorm2d(2), Twisted()).eval(), X)


def test_a_four_layer_net_freezes_within_seconds():
    net = nn.Sequential(*block(1, 16), *block(16, 32), *block(32, 64), *block(64, 64)).eval()
    assert freeze(net, X).facts.examples == 3


class Turned(nn.Module):
    """Axes changed by the user's own forward."""

    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(*block(1, 2))

    def forward(self, x):
        return self.layers(x).permute(0, 2, 3, 1)


def test_an_operator_in_a_forward_of_one_s_own_is_named_with_its_line():
    with pytest.raises(
        FreezeError, match=r"`forward` \(`permute` at .*test_network\.py:\d+: .*\) has no exact integer form"
    ):
        freeze(Turned().eval(), X)
    with pytest.raises(FreezeError, match=r"`3` \(`convolution`\) has zero padding of sign maps"):
        freeze(nn.Sequential(*block(1, 2), JetConv2d(2, 2, padding=1, pad_value=0)).eval(), X)


def test_a_network_without_values_is_refused():
    with pytest.raises(InputError, match=r"`net` must hold values \(got `0.latents` on the meta device"):
        freeze(nn.Sequential(*block(1, 2)).eval().to("meta"), X)
