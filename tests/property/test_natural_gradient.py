"""Random perceptrons and convolutional networks: updates equal dense matrices; the laws of a natural gradient."""

import copy
from itertools import pairwise

import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from linnet.models import ntk_mlp
from linnet.optim import NaturalGradient
from tests.unit.optim.natural.dense import assert_directions_equal, direction, jacobian, parameters_of

N = 4
RUNS = settings(max_examples=12, deadline=None)
APPROXIMATIONS = st.sampled_from(["exact", "block", "tridiagonal"])
LOSSES = st.sampled_from(["mse", "cross_entropy"])


class Random(nn.Module):
    """A convolution, a norm, perhaps a residual one, perhaps a layer whose weight is another's, and a head.

    Modules stand in the order of their use.
    """

    def __init__(self, stride, groups, dilation, bias, norm, residual, tied):
        super().__init__()
        self.first = nn.Conv2d(2, 4, 3, stride=stride, padding=1, groups=groups, bias=bias)
        self.norm = {"batch": nn.BatchNorm2d(4), "group": nn.GroupNorm(2, 4), "none": nn.Identity()}[norm]
        self.inner = nn.Conv2d(4, 4, 3, padding=dilation, dilation=dilation, bias=bias) if residual else None
        self.middle, self.twin = nn.Linear(4, 4, bias=bias), nn.Linear(4, 4) if tied else None
        self.layer_norm, self.head = nn.LayerNorm(4), nn.Linear(4, 3, bias=bias)
        if self.twin is not None:
            self.twin.weight = self.middle.weight
        if norm == "batch":
            self.norm.running_mean.normal_()

    def forward(self, x):
        x = self.norm(self.first(x)).tanh()
        x = x if self.inner is None else x + self.inner(x).relu()
        x = self.middle(x.mean((2, 3))).tanh()
        x = x if self.twin is None else self.twin(x).tanh()
        return self.head(self.layer_norm(x))


@st.composite
def problems(draw):
    """(network, x, y, loss)."""
    torch.manual_seed(draw(st.integers(0, 10_000)))
    loss = draw(LOSSES)
    if draw(st.booleans()):
        sizes = [5, *draw(st.lists(st.integers(1, 7), max_size=4)), 3]
        parts = [nn.Sequential(nn.Linear(i, o, bias=draw(st.booleans())), nn.Tanh()) for i, o in pairwise(sizes)]
        model, x = nn.Sequential(*parts), torch.randn(N, 5, dtype=torch.float64)
    else:
        model = Random(
            draw(st.integers(1, 2)), draw(st.integers(1, 2)), draw(st.integers(1, 2)), draw(st.booleans()),
            draw(st.sampled_from(["batch", "group", "none"])), draw(st.booleans()), draw(st.booleans()),
        )  # fmt: skip
        x = torch.randn(N, 2, 5, 5, dtype=torch.float64)
    y = torch.randn(N, 3, dtype=torch.float64) if loss == "mse" else torch.randint(0, 3, (N,))
    return model.double().eval(), x, y, loss


def step(model, x, y, *, lr=1.0, **asked):
    """What a step of rate lr takes away, on a copy."""
    model = copy.deepcopy(model)
    before = parameters_of(model)
    NaturalGradient(model, lr=lr, isotropy_every=0, kl_clip=None, **asked).step(x, y)
    return {name: before[name] - p for name, p in parameters_of(model).items()}


@RUNS
@given(problems(), APPROXIMATIONS, st.sampled_from([1e-3, 0.1, 10.0]))
def test_updates_equal_dense_solves(problem, approx, damping):
    model, x, y, loss = problem
    expected = direction(model, x, y, loss=loss, approx=approx, damping=damping)
    assert_directions_equal(step(model, x, y, loss=loss, approx=approx, damping=damping), expected, relative=1e-9)


@RUNS
@given(problems(), APPROXIMATIONS)
def test_the_order_of_samples_and_doubling_them_change_nothing(problem, approx):
    model, x, y, loss = problem
    plain = step(model, x, y, loss=loss, approx=approx, damping=0.05)
    order = torch.randperm(N)
    assert_directions_equal(
        step(model, x[order], y[order], loss=loss, approx=approx, damping=0.05), plain, relative=1e-9
    )
    twice = torch.cat([torch.arange(N)] * 2)
    assert_directions_equal(
        step(model, x[twice], y[twice], loss=loss, approx=approx, damping=0.05), plain, relative=1e-9
    )


@RUNS
@given(problems(), APPROXIMATIONS)
def test_great_damping_gives_the_gradient_over_it(problem, approx):
    model, x, y, loss = problem
    rows = jacobian(model, x)
    with torch.no_grad():
        f = model(x)
    r = f - y if loss == "mse" else f.softmax(1) - nn.functional.one_hot(y, 3)
    gradient = {name: (j.T @ r.reshape(-1) / N).view_as(parameters_of(model)[name]) for name, j in rows.items()}
    scaled = step(model, x, y, loss=loss, approx=approx, damping=1e12, lr=1e12)
    assert_directions_equal(scaled, gradient, relative=1e-6)


@RUNS
@given(st.integers(1, 7), st.integers(0, 1000), APPROXIMATIONS, LOSSES, st.booleans())
def test_undamped_steps_are_isotropic_with_alpha_of_the_theory(layers, seed, approx, loss, biased):
    if approx == "tridiagonal" and layers % 3 == 2:
        layers += 1
    torch.manual_seed(seed)
    model = ntk_mlp(
        depth=layers, width=40, inputs=24, outputs=3, activation="tanh", bias_variance=0.2 if biased else 0.0
    ).double()
    x = torch.randn(N, 24, dtype=torch.float64)
    y = torch.randn(N, 3, dtype=torch.float64) if loss == "mse" else torch.randint(0, 3, (N,))
    optimizer = NaturalGradient(model, loss, approx, isotropy_every=1)
    optimizer.step(x, y)
    alpha = {"exact": 1, "block": layers, "tridiagonal": layers // 3 + (layers % 3 == 1)}[approx]
    assert optimizer.alpha == alpha
    assert abs(optimizer._isotropy.alpha / alpha - 1) < 1e-8
    assert optimizer.report().isotropy_error < 1e-8


@RUNS
@given(st.integers(0, 1000))
def test_exact_steps_dont_see_an_affine_map_of_a_layers_inputs(seed):
    torch.manual_seed(seed)
    x, y = torch.randn(N, 6, dtype=torch.float64), torch.randn(N, 2, dtype=torch.float64)
    model = nn.Sequential(nn.Linear(6, 30), nn.Tanh(), nn.Linear(30, 2)).double()
    twin = copy.deepcopy(model)
    map_ = torch.randn(6, 6, dtype=torch.float64) + 3 * torch.eye(6, dtype=torch.float64)
    shift = torch.randn(6, dtype=torch.float64)
    with torch.no_grad():
        twin[0].weight.copy_(model[0].weight @ torch.linalg.inv(map_))
        twin[0].bias.sub_(twin[0].weight @ shift)
    moved = x @ map_.T + shift
    torch.testing.assert_close(twin(moved), model(x))
    for one, points in ((model, x), (twin, moved)):
        NaturalGradient(one, c=1e-6).step(points, y)
    before = y + (model(x) - y) / (1 - 1e-6)  # both went the same way: the outputs agree after the step as well
    torch.testing.assert_close(twin(moved), model(x), rtol=0, atol=1e-9)
    assert float((model(x) - before).detach().abs().max()) < 1e-3
