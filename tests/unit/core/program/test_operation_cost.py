"""Parameters, MACs, bytes and peak memory against counts made by hand."""

import pytest
import torch
from torch import nn

from linnet.core.program.operation_cost import Cost, Share, cost, macs_of, program_cost
from linnet.core.program.peak_memory import activation_profile
from linnet.core.program.recorder import record
from linnet.errors import GraphError


class Of(nn.Module):
    """A function as a module."""

    def __init__(self, function, *layers):
        super().__init__()
        self.function = function
        self.layers = nn.ModuleList(layers)

    def forward(self, *args):
        return self.function(*self.layers, *args)


X = torch.zeros(4, 3, 10, 10)


@pytest.mark.parametrize(
    ("layer", "shape", "macs"),
    [
        (nn.Conv2d(3, 8, 3, padding=1), (3, 10, 10), 100 * 8 * 3 * 9),
        (nn.Conv2d(3, 8, 3, stride=2), (3, 10, 10), 16 * 8 * 3 * 9),
        (nn.Conv2d(4, 8, 3, padding=1, groups=2), (4, 10, 10), 100 * 8 * 2 * 9),
        (nn.Conv2d(4, 4, (1, 5), dilation=2, padding=(0, 4), groups=4), (4, 10, 10), 100 * 4 * 1 * 5),
        (nn.Conv1d(4, 6, 3), (4, 10), 8 * 6 * 4 * 3),
        (nn.Conv3d(2, 3, 2), (2, 4, 4, 4), 27 * 3 * 2 * 8),
        (nn.ConvTranspose2d(4, 6, 2, stride=2), (4, 5, 5), 25 * 4 * 6 * 4),
        (nn.ConvTranspose2d(4, 6, 3, stride=2, groups=2, padding=1, output_padding=1), (4, 5, 5), 25 * 4 * 3 * 9),
        (nn.Linear(5, 7), (5,), 35),
        (nn.Linear(5, 7), (4, 3, 5), 12 * 35),
        (nn.BatchNorm2d(3), (3, 10, 10), 0),
        (nn.MaxPool2d(2), (3, 10, 10), 0),
        (nn.Upsample(scale_factor=2, mode="bilinear"), (3, 10, 10), 0),
        (Of(lambda w, x: x @ w.weight), (5, 7), None),
    ],
)
def test_macs_of_a_layer(layer, shape, macs):
    if macs is None:
        layer, macs = Of(lambda w, x: x @ w.weight, nn.Linear(3, 7, bias=False)), 5 * 7 * 3
    for batch in (1, 4):
        assert cost(layer, torch.zeros(batch, *shape)).macs == macs


def test_macs_of_products_without_parameters():
    def products(x, y):
        a = torch.bmm(x, y)  # (1, 2, 3) (1, 3, 4): 24
        b = x @ y[0, :, 0]  # mv: 6
        c = torch.addbmm(x[0], x, torch.zeros(1, 3, 3))  # 18
        d = torch.baddbmm(x, x, torch.zeros(1, 3, 3))  # 18
        e = torch.dot(x[0, 0], y[0, :, 0])  # 3
        f = torch.addmv(y[0, :2, 0], x[0], y[0, :, 0])  # 6
        return a, b, c, d, e, f

    assert cost(Of(products), (torch.zeros(1, 2, 3), torch.zeros(1, 3, 4))).macs == 24 + 6 + 18 + 18 + 3 + 6


def test_what_torch_counts_as_nothing():
    assert cost(nn.Bilinear(3, 4, 5), (torch.zeros(2, 3), torch.zeros(2, 4))).macs == 60
    attention = Of(nn.functional.scaled_dot_product_attention)
    q, k, v = torch.zeros(2, 3, 5, 8), torch.zeros(2, 3, 6, 8), torch.zeros(2, 3, 6, 4)
    assert cost(attention, (q, k, v)).macs == 3 * 5 * 6 * (8 + 4)
    mha = nn.MultiheadAttention(8, 2, batch_first=True, bias=False)
    t = torch.zeros(2, 5, 8)
    found = cost(Of(lambda layer, x: layer(x, x, x)[0], mha), t)
    assert found.macs == 5 * 8 * 24 + 2 * (2 * 5 * 5 * 4) + 5 * 8 * 8


def test_parameters_and_bytes_are_counted_once():
    model = nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4), nn.Linear(4, 4))
    model[2].weight = model[0].weight
    found = cost(model, torch.zeros(1, 4))
    assert found.params == 16 + 4 + 8 + 4
    assert found.bytes == 4 * (32 + 8) + 8  # running mean and variance, and an int64 counter
    assert cost(model.half(), torch.zeros(1, 4, dtype=torch.half)).bytes == 2 * (32 + 8) + 8
    assert found.macs == 2 * 16


@pytest.mark.parametrize(
    ("model", "floats"),
    [
        (nn.Conv2d(3, 8, 3, padding=1), 300 + 800),
        (Of(lambda x: x + x.relu()), 3 * 300),
        (Of(lambda x: x.view(-1, 30)), 300),
        (nn.Sequential(nn.ReLU(inplace=True)), 300),
        (nn.Sequential(nn.ReLU(), nn.ReLU()), 600),
        (Of(lambda x: x.permute(0, 2, 3, 1).relu()), 600),
        (nn.Sequential(nn.Conv2d(3, 5, 1), nn.BatchNorm2d(5), nn.Conv2d(5, 2, 1)), 500 + 500),
        (nn.Sequential(nn.Conv2d(3, 1, 1), nn.Conv2d(1, 20, 1), nn.Conv2d(20, 1, 1)), 2000 + 100),
        (Of(lambda x: (x.relu(), x.sigmoid())), 3 * 300),
        (Of(lambda x: torch.cat([x, x], 1)), 300 + 600),
        (nn.Sequential(nn.Flatten(), nn.Linear(300, 10)), 310),
        (nn.Identity(), 300),
    ],
)
def test_peak_memory_by_hand(model, floats):
    assert cost(model, X).peak_activation_bytes == 4 * floats


def test_a_skip_connection_stays_alive():
    class Residual(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.b = nn.Conv2d(3, 16, 1), nn.Conv2d(16, 3, 1)

        def forward(self, x):
            return x + self.b(self.a(x))

    # while `b` runs: x (300), its input (1600), its output (300)
    found = cost(Residual(), X)
    assert found.peak_activation_bytes == 4 * (300 + 1600 + 300)
    assert found.peak_at.startswith("`b` aten::convolution")


def test_the_profile_has_one_number_for_each_operator():
    profile = activation_profile(record(nn.Sequential(nn.Conv2d(3, 8, 1), nn.ReLU(), nn.Conv2d(8, 1, 1)), X))
    assert profile.alive == (4 * 1100, 4 * 1600, 4 * 900)
    assert (profile.peak, profile.node) == (4 * 1600, 1)


def test_modules_hold_what_is_inside_them():
    block = nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4))
    model = nn.Sequential(block, nn.Flatten(), nn.Linear(400, 2))
    found = cost(model, X)
    assert found.by_module[""] == Share(found.params, found.macs)
    assert found.by_module["0"] == Share(16 + 8, 1200)
    assert found.by_module["0.0"] == Share(16, 1200)
    assert found.by_module["0.1"] == Share(8, 0)
    assert found.by_module["2"] == Share(802, 800)


def test_a_class_holds_its_part_of_each_weight():
    program = record(nn.Sequential(nn.Conv2d(3, 4, 1, bias=False), nn.Flatten(), nn.Linear(400, 2)), X)
    held = {"0": {"0.weight": 12, "2.weight": 800}, "half": {"0.weight": 6}}
    shares = program_cost(program, held).by_class
    assert shares == {"0": Share(812, 1200 + 800), "half": Share(6, 600)}


def test_batch_size_mode_and_random_state_do_not_matter():
    model = nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4), nn.Dropout(), nn.Flatten(), nn.Linear(400, 2))
    state = torch.get_rng_state()
    first = cost(model.train(), X)
    assert model.training
    assert first == cost(model.eval(), X[:1])
    assert first == cost(model, X.repeat(3, 1, 1, 1))
    assert torch.equal(state, torch.get_rng_state())
    assert first != cost(model.double(), X.double())


def test_costs_are_equal_by_their_totals():
    assert Cost(1, 2, 3, 4, by_module={"": Share(1, 2)}) == Cost(1, 2, 3, 4)
    assert Cost(1, 2, 3, 4) != Cost(1, 2, 3, 5)
    assert str(Cost(1000, 2, 3, 4)).startswith("1,000 parameters, 2 MACs")


def test_an_example_that_does_not_fit_is_refused():
    with pytest.raises(GraphError, match=r"example.*\(1, 4\)"):
        cost(nn.Linear(3, 2), torch.zeros(1, 4))


def test_every_node_of_a_network_has_a_count():
    program = record(nn.Sequential(nn.Conv2d(3, 4, 1), nn.ReLU()), X)
    assert [macs_of(program, node) for node in program.nodes] == [1200, 0]
