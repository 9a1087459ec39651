"""widen: exact, seeded, and clear about what it can't widen."""

import copy
import logging

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from linnet.ensemble import widen
from linnet.errors import GraphError, InputError, OptimizerStateError, ProofError, UnsupportedOperator
from linnet.models import VGG, ConvNet, ResNet, SmallUNet
from tests.zoo.check import difference

X = torch.zeros(1, 1, 8, 8)


def conv_bn(width=8):
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(1, width, 3), nn.BatchNorm2d(width), nn.ReLU(), nn.Conv2d(width, 6, 3), nn.Flatten(), nn.Linear(96, 4)
    )


def state(model):
    return {name: tensor.clone() for name, tensor in model.state_dict().items()}


def same_bits(left, right):
    return left.keys() == right.keys() and all(torch.equal(left[name], right[name]) for name in left)


@pytest.mark.parametrize("kind", [torch.float64, torch.float32])
@pytest.mark.parametrize("split", ["random", "even", "pair"])
@pytest.mark.parametrize(
    ("make", "shape"),
    [
        (lambda: ResNet(depth=8, width=4, input_shape=(3, 8, 8)), (3, 8, 8)),
        (lambda: ConvNet(input_shape=(1, 12, 12)), (1, 12, 12)),
        (lambda: SmallUNet(widths=(6, 8, 8), stem=4), (3, 16, 16)),
        (lambda: VGG(stages=((6, 6), (8, 8)), input_shape=(3, 16, 16)), (3, 16, 16)),
    ],
    ids=["resnet", "convnet", "unet", "vgg-bn"],
)
def test_networks_of_the_package_keep_their_function(make, shape, split, kind):
    torch.manual_seed(1)
    model = make().to(kind)
    x = torch.randn(4, *shape, dtype=kind)
    wide = widen(model, x, 1.25, split=split)
    bound = 1e-10 if kind == torch.float64 else 1e-5
    assert wide.widening.error <= bound
    for training in (False, True):
        assert difference(model, wide, x, training=training) <= bound
    assert type(wide) is type(model)


def test_widths_are_at_least_one_more_and_rounded_up_to_align():
    def sizes(factor, **options):
        return {one.name: one.after for one in widen(conv_bn(), X, factor, **options).widening.classes}

    assert sizes(1.01) == {"0": 9, "3": 7}
    assert sizes(1.5) == {"0": 12, "3": 9}
    assert sizes(1.5, align=8) == {"0": 16, "3": 16}
    assert {one.name: sorted(one.map) for one in widen(conv_bn(), X, 2).widening.classes}["3"] == sorted(
        [*range(6)] * 2
    )


def train_a_little(model, steps):
    torch.manual_seed(3)
    x, y = torch.randn(64, 1, 8, 8, dtype=torch.float64), torch.randint(0, 4, (64,))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
    for _ in range(steps):
        optimizer.zero_grad()
        F.cross_entropy(model(x), y).backward()
        optimizer.step()


def added(model, name):
    """Which channels of a class are copies."""
    known = next(one for one in model.widening.classes if one.name == name).map
    return torch.tensor([old in known[:new] for new, old in enumerate(known)])


def apart(model):
    """How far the rows of the first layer's copies are from the rows that they copy: the most and the least."""
    known = next(one for one in model.widening.classes if one.name == "0").map
    weight = model[0].weight.detach()
    rows = [
        float((weight[new] - weight[known.index(old)]).abs().max())
        for new, old in enumerate(known)
        if old in known[:new]
    ]
    return max(rows), min(rows)


def test_an_even_split_stays_equal_for_ever_and_a_random_one_separates():
    even = widen(conv_bn().double(), X.double(), 2, split="even")
    random = widen(conv_bn().double(), X.double(), 2)
    assert apart(even) == apart(random) == (0, 0)
    for model in (even, random):
        train_a_little(model, 30)
    assert apart(even) == (0, 0)
    assert apart(random)[1] > 1e-3


def test_pairs_have_equal_inputs_and_opposite_outputs():
    wide = widen(conv_bn(), X, 2, split="pair")
    known = next(one for one in wide.widening.classes if one.name == "0")
    assert known.pairs == 4
    rows, columns = wide[0].weight.detach().flatten(1), wide[3].weight.detach()
    twins = [tuple((rows == row).all(1).nonzero().flatten().tolist()) for row in rows[added(wide, "0")]]
    assert len(set(twins)) == 4
    for first, second in twins:
        assert bool(added(wide, "0")[[first, second]].all())
        assert torch.equal(columns[:, first], -columns[:, second])
        assert float(columns[:, first].abs().min()) > 0


def test_an_odd_number_of_added_channels_takes_one_plain_copy():
    wide = widen(conv_bn().double(), X.double(), 1.4, split="pair")
    assert {one.name: (one.after - one.before, one.pairs) for one in wide.widening.classes} == {
        "0": (3, 1),
        "3": (2, 1),
    }
    assert wide.widening.error <= 1e-10


def test_the_seed_and_the_global_random_state_stay_as_they_are():
    model = conv_bn().train()
    before, random_state = state(model), torch.get_rng_state()
    wide = widen(model, X, 1.5, noise=0.3, rng_seed=5)
    assert same_bits(before, state(model))
    assert model.training
    assert wide.training
    assert torch.equal(random_state, torch.get_rng_state())
    assert not hasattr(model, "widening")


def test_the_same_seed_gives_the_same_bits_and_another_one_others():
    first, again, other = (state(widen(conv_bn(), X, 1.5, noise=0.1, rng_seed=seed)) for seed in (1, 1, 2))
    assert same_bits(first, again)
    assert not same_bits(first, other)


def test_noise_is_scaled_by_each_tensors_spread_and_leaves_norms_alone():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(1, 200, 3), nn.BatchNorm2d(200), nn.ReLU(), nn.Conv2d(200, 200, 3))
    quiet, loud = (widen(model, X, 1.1, noise=noise) for noise in (0.0, 0.25))
    moved = {name: loud.state_dict()[name] - tensor for name, tensor in quiet.state_dict().items()}
    spread = float(quiet[3].weight.detach().std())
    assert float(moved["3.weight"].std()) == pytest.approx(0.25 * spread, rel=0.02)
    assert all(not bool(moved[name].any()) for name in ("0.bias", "1.weight", "1.bias", "1.running_var", "3.bias"))
    assert loud.widening.error <= 1e-5 < loud.widening.change
    assert "noise 0.25 on all" in repr(loud.widening)


def test_noise_on_copies_leaves_the_old_channels_alone():
    quiet, loud = (widen(conv_bn(), X, 1.5, noise=noise, noise_on="copies") for noise in (0.0, 0.5))
    moved = (loud[0].weight - quiet[0].weight).detach().flatten(1).abs().amax(1)
    new = added(loud, "0")
    assert not bool(moved[~new].any())
    assert bool((moved[new] > 0).all())
    moved = (loud[3].weight - quiet[3].weight).detach()
    rows = added(loud, "3")
    assert not bool(moved[~rows][:, ~new].any())
    assert bool((moved[rows] != 0).all())
    assert bool((moved[:, new] != 0).all())


def test_batch_norms_are_measured_again_after_noise_or_a_note_says_that_they_are_stale(caplog):
    torch.manual_seed(2)
    batches = [(torch.randn(16, 1, 8, 8) + 2, None) for _ in range(3)]
    wide = widen(conv_bn(), X, 1.5, noise=0.5, data=batches)
    assert "3 batches" in wide.widening.notes[-1]
    activations = torch.cat([wide[0](x) for x, _ in batches]).detach()
    assert torch.allclose(wide[1].running_mean, activations.mean((0, 2, 3)), atol=1e-4)
    assert not caplog.records
    with caplog.at_level(logging.WARNING):
        wide = widen(conv_bn(), X, 1.5, noise=0.5)
    assert "stale" in caplog.text
    assert "stale" in wide.widening.notes[-1]


def test_an_optimizer_follows():
    model = conv_bn()
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    F.cross_entropy(model(torch.randn(4, 1, 8, 8)), torch.tensor([0, 1, 2, 3])).backward()
    optimizer.step()
    wide = widen(model, X, 1.5, optimizer=optimizer)
    assert {id(p) for group in optimizer.param_groups for p in group["params"]} == {id(p) for p in wide.parameters()}
    assert optimizer.state[wide[0].weight]["exp_avg"].shape == wide[0].weight.shape
    with pytest.raises(OptimizerStateError, match="fresh weights"):
        widen(wide, X, 1.5, optimizer=optimizer, split="pair")


def test_a_normalisation_over_channels_takes_a_whole_factor_only():
    model = nn.Sequential(nn.Conv2d(1, 8, 3), nn.GroupNorm(2, 8), nn.ReLU(), nn.Conv2d(8, 3, 3)).double()
    assert widen(model, X.double(), 2).widening.error <= 1e-10
    with pytest.raises(GraphError, match=r"`0` can't have 12 channels.*whole `factor`"):
        widen(model, X.double(), 1.5)


def test_dropout_is_noted():
    model = nn.Sequential(nn.Conv2d(1, 8, 3), nn.Dropout(0.5), nn.Conv2d(8, 3, 3))
    assert "expectation" in repr(widen(model, X, 1.5).widening)
    assert widen(conv_bn(), X, 1.5).widening.notes == ()


class Triangle(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Conv2d(1, 8, 3), nn.Conv2d(8, 3, 3)

    def forward(self, x):
        return self.b(self.a(x).tril())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"factor": 1.0}, "`factor` must be a number > 1"),
        ({"factor": float("nan")}, "`factor`"),
        ({"noise": -0.1}, "`noise` must be a number >= 0"),
        ({"reinit": 1.5}, "`reinit`"),
        ({"align": 0}, "`align`"),
        ({"split": "odd"}, "`split` must be one of 'random', 'even', 'pair'"),
        ({"noise_on": "copy"}, "`noise_on` must be one of .* Did you mean 'copies'"),
    ],
)
def test_arguments_out_of_range_are_refused(options, message):
    with pytest.raises(InputError, match=message):
        widen(conv_bn(), X, **options)


def test_networks_that_cannot_be_widened_are_refused_by_name():
    with pytest.raises(GraphError, match="no channels that may be copied"):
        widen(nn.Linear(3, 2), torch.zeros(1, 3))
    with pytest.raises(UnsupportedOperator, match=r"tril.*Freeze them: frozen=\["):
        widen(Triangle(), X)
    with pytest.raises(GraphError, match="`example`"):
        widen(conv_bn(), torch.zeros(1, 2, 8, 8))
    with pytest.raises(GraphError, match="no channels that may be copied"):  # its weight is computed
        widen(torch.nn.utils.parametrizations.weight_norm(nn.Linear(3, 4)), torch.zeros(1, 3))
    with pytest.raises(GraphError, match=r"torch\.nn\.Module"):
        widen(lambda x: x, X)
    broken = conv_bn()
    with torch.no_grad():
        broken[0].weight[0, 0, 0, 0] = float("nan")
    with pytest.raises(ProofError, match="finite"):
        widen(broken, X)
    with pytest.raises(GraphError, match="`frozen`"):
        widen(conv_bn(), X, frozen=["stem"])


def test_data_without_a_batch_is_refused():
    with pytest.raises(InputError, match="`data` gave no batch"):
        widen(conv_bn(), X, 1.5, noise=0.5, data=[])


def test_a_shared_layer_is_widened_once():
    class Twice(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.b, self.c = nn.Linear(3, 5), nn.Linear(5, 5), nn.Linear(5, 2)

        def forward(self, x):
            return self.c(torch.tanh(self.b(torch.tanh(self.b(torch.tanh(self.a(x)))))))

    torch.manual_seed(0)
    assert widen(Twice().double(), torch.zeros(1, 3, dtype=torch.float64), 1.5).widening.error <= 1e-10


def test_the_report_survives_a_copy_and_counts_what_the_network_costs():
    from linnet import cost

    wide = widen(conv_bn(), X, 1.5)
    twin = copy.deepcopy(wide)
    assert twin.widening == wide.widening
    assert wide.widening.macs == (cost(conv_bn(), X).macs, cost(wide, X).macs)
    assert wide.widening.params[1] == sum(p.numel() for p in wide.parameters())
