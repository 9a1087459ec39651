"""The recursions against adaptive integration, the numbers that must come out, measured networks beside them."""

import math

import pytest
import torch
from scipy.integrate import dblquad
from torch import nn

from linnet.errors import InputError
from linnet.models import MLP, ConvNet, ntk_mlp
from linnet.spectra import fisher, infinite_width_ntk, ntk, theory, theory_for
from linnet.spectra.activation_moments import MOMENTS, moments_of

PHI = {
    "relu": (lambda u: max(u, 0.0), lambda u: float(u > 0)),
    "linear": (lambda u: u, lambda u: 1.0),
    "tanh": (math.tanh, lambda u: 1 - math.tanh(u) ** 2),
    "erf": (math.erf, lambda u: 2 / math.sqrt(math.pi) * math.exp(-u * u)),
    "erf_scaled": (lambda u: math.erf(u / math.sqrt(2)), lambda u: math.sqrt(2 / math.pi) * math.exp(-u * u / 2)),
    "softplus": (lambda u: math.log1p(math.exp(u)), lambda u: 1 / (1 + math.exp(-u))),
}


def integral(phi, a, other, b):
    """E phi(u) phi(v) by adaptive integration, split at u = 0 and v = 0."""
    c = max(-1.0, min(1.0, b / math.sqrt(a * other)))
    beta = math.acos(c)
    total = 0.0
    for begin, end in ((-math.pi / 2, beta - math.pi / 2), (beta - math.pi / 2, math.pi / 2),
                       (math.pi / 2, beta + math.pi / 2), (beta + math.pi / 2, 3 * math.pi / 2)):  # fmt: skip
        if end - begin < 1e-9:
            continue
        total += dblquad(
            lambda r, t: phi(math.sqrt(a) * r * math.cos(t)) * phi(math.sqrt(other) * r * math.cos(t - beta))
            * r * math.exp(-r * r / 2) / (2 * math.pi),
            begin, end, 0, 10, epsabs=1e-11, epsrel=1e-11,
        )[0]  # fmt: skip
    return total


@pytest.mark.parametrize("name", PHI)
@pytest.mark.parametrize(("a", "other", "b"), [(1.3, 0.6, 0.4), (2.1, 2.1, -0.9)])
def test_moments_are_those_of_adaptive_integration(name, a, other, b):
    given = [torch.tensor([v], dtype=torch.float64) for v in (a, other, b)]
    for which, phi in zip(("value", "slope"), PHI[name], strict=True):
        assert float(getattr(MOMENTS[name], which)(*given)) == pytest.approx(integral(phi, a, other, b), abs=1e-8)


@pytest.mark.parametrize("kinked", [torch.relu, torch.nn.functional.leaky_relu, torch.nn.functional.elu])
def test_functions_with_a_kink_at_zero_are_integrated_by_sectors(kinked):
    given = [torch.tensor([v], dtype=torch.float64) for v in (1.3, 0.6, 0.4)]
    found = moments_of(kinked)
    expected = (
        integral(lambda u: float(kinked(torch.tensor(u, dtype=torch.float64))), 1.3, 0.6, 0.4)
        if (kinked is not torch.relu)
        else integral(PHI["relu"][0], 1.3, 0.6, 0.4)
    )
    assert float(found.value(*given)) == pytest.approx(expected, abs=1e-8)


@pytest.mark.parametrize(
    ("activation", "weight", "bias", "kappas"),
    [
        ("relu", 2.0, 0.1, (1.5750, 0.4015)),
        ("tanh", 3.0, 0.64, (0.9555, 0.1186)),
        ("linear", 1.0, 0.1, (1.65, 0.15)),
        ("erf_scaled", 3.0, 0.64, (0.7420, 0.1126)),
        (torch.relu, 2.0, 0.1, (1.5750, 0.4015)),
    ],
)
def test_known_kappas_come_out(activation, weight, bias, kappas):
    found = theory(3, activation, weight, bias, 1000, 100, 10)
    assert (round(found.kappa1, 4), round(found.kappa2, 4)) == kappas


def test_the_printed_table_shows_kappa_formulas_and_assumptions():
    shown = str(theory(3, "relu", 2.0, 0.1, 1000, 100, 10))
    assert "(1.5750, 0.4015)" in shown
    for word in ("quantity", "formula", "assumption", "bulk", "NTK", "826.46"):
        assert word in shown
    soft = str(theory(3, "relu", 2.0, 0.1, 1000, 100, 10, "cross_entropy"))
    assert "alpha M kappa_2 eig(E Q)" in soft


def test_an_odd_activation_without_bias_has_no_outliers():
    found = theory(3, "tanh", 3.0, 0.0, 1000, 100, 10)
    assert found.kappa2 == 0.0
    torch.manual_seed(0)
    measured = fisher(standard("tanh", 3.0, 0.0, 400, 10), torch.randn(40, 400)).eigenvalues
    assert float(measured[0] / measured[10]) < 1.5


def standard(activation: str, weight: float, bias: float, width: int, classes: int, depth: int = 3) -> nn.Sequential:
    """W ~ N(0, sigma_w^2 / fan_in), b ~ N(0, sigma_b^2)."""
    kinds = {"relu": nn.ReLU, "tanh": nn.Tanh, "linear": nn.Identity}
    layers: list[nn.Module] = []
    for number in range(depth):
        linear = nn.Linear(width, classes if number == depth - 1 else width)
        nn.init.normal_(linear.weight, std=(weight / width) ** 0.5)
        nn.init.normal_(linear.bias, std=bias**0.5)
        layers += [linear, kinds[activation]()]
    return nn.Sequential(*layers[:-1])


@pytest.mark.parametrize(("activation", "weight", "bias"), [("tanh", 3.0, 0.64), ("relu", 2.0, 0.1)])
def test_measured_moments_lie_within_order_one_over_root_width(activation, weight, bias):
    """Five networks of width 300: each mean within 4 / sqrt(M) of the theory, in parts of it."""
    torch.manual_seed(0)
    found = theory(3, activation, weight, bias, 300, 30, 4)
    spectra = [fisher(standard(activation, weight, bias, 300, 4), torch.randn(30, 300)) for _ in range(5)]
    for name in ("mean", "second_moment", "max"):
        measured = sum(getattr(s, name) for s in spectra) / 5
        size = sum(s.source.size for s in spectra) / 5 if name != "max" else 1.0
        expected = getattr(found, name) * (found.alpha * 300**2 if name != "max" else 1.0)
        assert abs(measured * size / expected - 1) < 4 / 300**0.5, (name, measured, expected)
    block = spectra[0].layer("2")
    assert block.max == pytest.approx(found.layer(2).max, rel=0.35)


def test_softmax_outliers_are_c_minus_1_and_within_a_fifth():
    torch.manual_seed(0)
    gaps = []
    for _ in range(5):
        model, x = standard("relu", 2.0, 0.1, 800, 5), torch.randn(100, 800)
        with torch.no_grad():
            p = model(x).softmax(1)
        found = theory(3, "relu", 2.0, 0.1, 800, 100, 5, "cross_entropy", probs=p)
        assert len(found.outliers) == 4
        measured = fisher(model, x, "cross_entropy")
        gaps.append(found.outliers / measured.eigenvalues[:4] - 1)
        assert found.lower * 0.7 < measured.max < found.upper * 1.3
    assert float(torch.stack(gaps).mean(0).abs().max()) < 0.2


def test_drawn_outliers_know_that_a_network_shares_its_shift():
    found = theory(3, "relu", 2.0, 0.1, 1000, 100, 10, "cross_entropy")
    assert len(found.outliers) == 9
    assert float(found.outliers[0] / found.outliers[-1]) > 5  # nearly equal if z_0 were forgotten
    assert float(found.outlier_spread[0]) > 0
    assert found.lower < found.max < found.upper


def test_centring_leaves_the_bulk():
    torch.manual_seed(0)
    raw, centred = [], []
    for width in (50, 100, 200, 400):
        spectrum = fisher(standard("relu", 2.0, 0.1, width, 2), torch.randn(width, width))
        raw.append(spectrum.max)
        centred.append(spectrum.centered().max)
    assert raw[-1] / raw[0] > 4
    assert max(centred) / min(centred) < 2
    assert centred[-1] < raw[-1] / 10


def test_ntk_statistics_of_wide_networks():
    torch.manual_seed(0)
    found = theory(3, "relu", 2.0, 0.1, 800, 40, 1)
    net = ntk_mlp(depth=3, width=800, inputs=800, weight_variance=2.0, bias_variance=0.1)
    values = torch.linalg.eigvalsh(ntk(net, torch.randn(40, 800)).double())
    assert float(values.mean()) == pytest.approx(found.ntk_mean, rel=0.1)
    assert float(values[-1]) == pytest.approx(found.ntk_max, rel=0.2)
    assert float(values[:-1].mean()) == pytest.approx(found.ntk_bulk, rel=0.15)


def test_the_kernel_takes_tensors():
    mean_field = theory(2, "relu", 2.0, 0.1, 50, 10, 3)
    with pytest.raises(InputError, match=r"`x1` must be a tensor with samples on axis 0 \(got list\)"):
        mean_field.kernel([[1.0]])  # pyright: ignore[reportArgumentType, reportCallIssue]
    with pytest.raises(InputError, match=r"`x2` must be a tensor with samples on axis 0 \(got shape \(\)\)"):
        mean_field.kernel(torch.ones(2, 3), torch.tensor(1.0))


def test_the_kernel_at_infinite_width_is_that_of_the_recursion():
    x = torch.randn(4, 9, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    found = theory(3, "erf_scaled", 1.5, 0.2, 100, 4, 1)
    each = infinite_width_ntk(depth=3, activation="erf_scaled", weight_variance=1.5, bias_variance=0.2)(x, x[:2])
    torch.testing.assert_close(found.kernel(x, x[:2], layers="each"), each)
    torch.testing.assert_close(found.kernel(x), sum(found.kernel(x, layers="each").values()))


def test_unequal_widths_and_real_inputs():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(600, 300), nn.ReLU(), nn.Linear(300, 150), nn.ReLU(), nn.Linear(150, 3))
    for layer in (model[0], model[2], model[4]):
        nn.init.normal_(layer.weight, std=(2 / layer.in_features) ** 0.5)
        nn.init.normal_(layer.bias, std=0.3)
    x = 0.5 + torch.rand(40, 600)
    found, measured = theory_for(model, x), fisher(model, x)
    assert found.widths == (600.0, 300.0, 150.0)
    assert measured.max == pytest.approx(found.max, rel=0.35)
    compared = measured.compare(found)
    assert [row[0] for row in compared.rows[:3]] == ["mean", "second moment", "max"]
    assert "outlier 3" in str(compared)
    soft = theory_for(model, x, "cross_entropy")
    assert soft.softmax.networks == 1
    assert len(soft.outliers) == 2


def test_a_perceptron_of_the_zoo_is_read_and_other_networks_are_refused_by_name():
    x = torch.randn(5, 3, 8, 8)
    assert theory_for(MLP(input_shape=(3, 8, 8), classes=4, hidden=(16, 16)), x).depth == 3
    with pytest.raises(InputError, match=r"perceptron \(got `features.0`, a Conv2d\)"):
        theory_for(ConvNet(input_shape=(3, 8, 8)).eval(), x)
    with pytest.raises(InputError, match=r"perceptron \(got `0`, a Conv2d\)"):
        theory_for(nn.Sequential(nn.Conv2d(3, 4, 3)), x)
    with pytest.raises(InputError, match=r"forward takes \(got shape \(5, 4\)"):
        theory_for(nn.Sequential(nn.Linear(3, 2)), torch.zeros(5, 4))
    with pytest.raises(InputError, match="`x` holds NaN"):
        theory_for(nn.Sequential(nn.Linear(3, 2)), torch.full((5, 3), float("nan")))
    overflowing = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2))
    nn.init.constant_(overflowing[2].weight, float("inf"))
    with pytest.raises(InputError, match=r"outputs must be finite.*`2` \(Linear\)"):
        theory_for(overflowing, torch.ones(5, 3))
    with pytest.raises(InputError, match="a ScaledLinear"):
        theory_for(ntk_mlp(width=8, inputs=4), torch.randn(3, 4))

    class Skip(nn.Module):
        def __init__(self):
            super().__init__()
            self.first, self.act, self.second = nn.Linear(4, 4), nn.ReLU(), nn.Linear(4, 4)

        def forward(self, x):
            return self.second(self.act(self.first(x)) + x)

    with pytest.raises(InputError, match=r"another input at `second`.*skip"):
        theory_for(Skip(), torch.randn(3, 4))
    with pytest.raises(InputError, match="one kind of activation"):
        theory_for(
            nn.Sequential(nn.Linear(4, 4), nn.ReLU(), nn.Linear(4, 4), nn.Tanh(), nn.Linear(4, 2)), torch.randn(3, 4)
        )
    with pytest.raises(InputError, match="one activation between"):
        theory_for(nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 2)), torch.randn(3, 4))
    with pytest.raises(InputError, match="begin and end with a linear layer"):
        theory_for(nn.Sequential(nn.Linear(4, 4), nn.ReLU()), torch.randn(3, 4))


@pytest.mark.parametrize(
    ("changed", "match"),
    [
        ({"depth": 0}, "`depth` must be a whole number >= 1"),
        ({"samples": 0}, "`samples`"),
        ({"classes": 0}, "`classes`"),
        ({"width": 0}, "`width` must be at least 1"),
        ({"weight_variance": -1.0}, "`weight_variance` must be above 0"),
        ({"bias_variance": -0.1}, "`bias_variance` must be 0 or more"),
        ({"weight_variance": [1.0, 2.0]}, r"`weight_variance`.*3 layers"),
        ({"activation": "rellu"}, r"`activation` must be one of.*Did you mean `relu`.*Pass the function"),
        ({"loss": "hinge"}, "`loss` must be one of"),
        ({"loss": "cross_entropy", "classes": 1}, "`classes` must be 2 or more"),
        ({"widths": [10, 10]}, "`widths` must hold 3 sizes"),
        ({"input_moments": (1.0, 2.0)}, "`input_moments`"),
        ({"loss": "cross_entropy", "probs": torch.ones(3, 2)}, "`probs` must be probabilities"),
        ({"loss": "cross_entropy", "probs": [[0.5, 0.5]]}, r"`probs` must be a tensor.*got list"),
        ({"loss": "cross_entropy", "probs": torch.full((4, 2), float("nan"))}, "`probs` must be probabilities"),
        ({"depth": "3"}, "`depth`"),
        ({"depth": 2.5}, "`depth`"),
        ({"samples": 1.5}, "`samples`"),
        ({"width": "wide"}, "`width` must be at least 1"),
        ({"width": float("nan")}, "`width` must be at least 1"),
        ({"weight_variance": float("inf")}, "`weight_variance`"),
        ({"weight_variance": "2"}, "`weight_variance`"),
        ({"widths": [10, "a", 10]}, "`widths` must hold 3 sizes"),
        ({"input_moments": "a"}, "`input_moments`"),
        ({"activation": None}, r"`activation` must be a name or a function.*got None"),
        ({"activation": lambda z: z.nothing}, "raises AttributeError"),
        ({"activation": torch.sum}, r"`activation` must give a tensor of the shape.*got a result of shape \(\)"),
        ({"activation": torch.log}, "don't converge"),
    ],
)
def test_what_cant_be_used_is_named(changed, match):
    given = {
        "depth": 3, "activation": "relu", "weight_variance": 2.0, "bias_variance": 0.1, "width": 100, "samples": 10,
        "classes": 3,
    }  # fmt: skip
    with pytest.raises(InputError, match=match):
        theory(**(given | changed))


def test_layers_out_of_range_are_refused():
    found = theory(3, "relu", 2.0, 0.1, 100, 10, 3)
    with pytest.raises(InputError, match="`number` must be a layer from 1 to 3"):
        found.layer(0)
    with pytest.raises(InputError, match="`number` must be a layer from 0 to 2"):
        found.metric(3)
