"""Outputs at several positions, weights, ignored and smoothed targets: each position is a sample of its own."""

import gc

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from linnet.errors import CaptureError, InputError
from linnet.optim import NaturalGradient

RHO = 0.05


class Tokens(nn.Module):
    """Logits of four classes at each of three positions, (N, T, C), which mix where `mixed`."""

    def __init__(self, *, mixed=True):
        super().__init__()
        torch.manual_seed(0)
        self.mixed, self.inner, self.head = mixed, nn.Linear(2, 3), nn.Linear(3, 4)

    def forward(self, x):
        h = torch.tanh(self.inner(x))
        return self.head(h + h.mean(1, keepdim=True) if self.mixed else h)


def pixels():
    """(N, C, H, W)."""
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(2, 3, 3, padding=1), nn.Tanh(), nn.Conv2d(3, 4, 1))


def drawn(*shape):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


def classes(*shape):
    return torch.randint(0, 4, shape, generator=torch.Generator().manual_seed(2))


CASES = {"tokens": (Tokens, (5, 3, 2), (5, 3), -1), "pixels": (pixels, (4, 2, 2, 3), (4, 2, 3), 1)}


def rows_first(f, axis):
    """Logits (M, C)."""
    return f.movedim(axis, -1).reshape(-1, f.shape[axis])


def dense_direction(model, x, criterion, y, axis, *, of=None):
    """(F + rho)^-1 grad with F = sum_m weight_m J_m^T (diag p - p p^T) J_m / W, a dense P x P matrix.

    The weight of a position is that by which the criterion's gradient in its logits is w (p - target): the Hessian of
    the criterion in the logits is block-diagonal over positions, and is taken from autograd.
    """
    names = [name for name, _ in model.named_parameters()]
    values = dict(model.named_parameters())

    def logits(*theta):
        return torch.func.functional_call(model, dict(zip(names, theta, strict=True)), (x,)).reshape(-1)

    shape = model(x).shape
    theta = tuple(p.detach() for p in values.values())
    parts = torch.autograd.functional.jacobian(logits, theta)
    j = torch.cat([part.reshape(part.shape[0], -1) for part in parts], dim=1)
    f = model(x).detach().reshape(-1)
    q = torch.autograd.functional.hessian(lambda z: criterion(z.view(shape), y), f)
    grad = j.T @ torch.autograd.functional.jacobian(lambda z: criterion(z.view(shape), y), f)
    fisher = j.T @ (q if of is None else of(f.view(shape))) @ j
    solution = torch.linalg.solve(fisher + RHO * torch.eye(len(fisher), dtype=fisher.dtype), grad)
    pieces = solution.split([p.numel() for p in theta])
    return {name: piece.view(p.shape) for name, piece, p in zip(names, pieces, theta, strict=True)}


def step_of(model, x, y, loss, approx, **options):
    """What one step takes away, at lr 1 without a clip."""
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    opt = NaturalGradient(model, loss, approx, damping=RHO, lr=1.0, kl_clip=None, **options)
    value = opt.step(x, y)
    return {name: before[name] - p.detach() for name, p in model.named_parameters()}, value


def assert_equal(found, expected, relative=1e-9):
    gap = sum(float((found[name] - expected[name]).square().sum()) for name in expected) ** 0.5
    size = sum(float(value.square().sum()) for value in expected.values()) ** 0.5
    assert gap <= relative * size, f"{gap / size:.2e}"


def with_axis(criterion, axis):
    """The criterion on outputs whose classes are at `axis`, class indices or probabilities of the same layout."""

    def value(f, y):
        return criterion(rows_first(f, axis), rows_first(y, axis) if y.is_floating_point() else y.reshape(-1))

    return value


WEIGHT = torch.tensor([0.5, 3.0, 1.0, 0.2], dtype=torch.float64)
CRITERIA = {
    "plain": nn.CrossEntropyLoss(),
    "weights": nn.CrossEntropyLoss(WEIGHT),
    "ignored": nn.CrossEntropyLoss(ignore_index=2),
    "smoothed": nn.CrossEntropyLoss(label_smoothing=0.2),
    "all": nn.CrossEntropyLoss(WEIGHT, ignore_index=0, label_smoothing=0.1),
}


@pytest.mark.parametrize("criterion", CRITERIA)
@pytest.mark.parametrize("case", CASES)
def test_the_exact_step_is_that_of_a_dense_reference(case, criterion):
    make, size, places, axis = CASES[case]
    model, x, y, loss = make().double(), drawn(*size), classes(*places), CRITERIA[criterion]
    expected = dense_direction(model, x, with_axis(loss, axis), y, axis)
    found, value = step_of(model, x, y, loss, "exact", class_dim=axis)
    assert_equal(found, expected)
    make_again = make().double()
    assert value == pytest.approx(float(with_axis(loss, axis)(make_again(x), y).detach()), rel=1e-12)


@pytest.mark.parametrize("soft", ["plain", "weights", "smoothed"])
@pytest.mark.parametrize("case", CASES)
def test_soft_targets_are_those_of_torch(case, soft):
    make, size, _, axis = CASES[case]
    model, x, loss = make().double(), drawn(*size), CRITERIA[soft]
    y = drawn(*model(x).shape).softmax(axis)
    expected = dense_direction(model, x, with_axis(loss, axis), y, axis)
    assert_equal(step_of(model, x, y, loss, "exact", class_dim=axis)[0], expected)


@pytest.mark.parametrize("criterion", CRITERIA)
def test_one_row_of_logits_a_sample_has_them_too(criterion):
    torch.manual_seed(0)
    model, x, y = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 4)).double(), drawn(6, 3), classes(6)
    expected = dense_direction(model, x, CRITERIA[criterion], y, -1)
    assert_equal(step_of(model, x, y, CRITERIA[criterion], "exact")[0], expected)


@pytest.mark.parametrize("case", CASES)
def test_the_axis_of_the_classes_is_that_of_the_layer_that_makes_the_outputs(case):
    make, size, places, axis = CASES[case]
    x, y = drawn(*size), classes(*places)
    found = [step_of(make().double(), x, y, "cross_entropy", "exact", class_dim=a)[0] for a in (axis, None)]
    assert_equal(found[1], found[0], 1e-14)


@pytest.mark.parametrize("options", [{}, {"weight": drawn(6).abs()}, {"pos_weight": drawn(1).abs() * 5}])
@pytest.mark.parametrize("case", ["units", "pixels"])
def test_binary_cross_entropy_is_that_of_torch(case, options):
    torch.manual_seed(0)
    if case == "units":
        model, x = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 6)).double(), drawn(5, 3)
    else:
        model, x = nn.Conv2d(2, 1, 3, padding=1).double(), drawn(3, 2, 2, 6)
    loss, y = nn.BCEWithLogitsLoss(**options), (drawn(*model(x).shape) > 0).double()
    of = None
    if options:

        def of(f):
            return torch.autograd.functional.hessian(lambda z: loss(z.view(f.shape), y), f.reshape(-1))

    expected = dense_direction(model, x, loss, y, -1, of=of)
    found, value = step_of(model, x, y, loss, "exact")
    assert_equal(found, expected)
    assert value > 0
    if not options:
        again = type(model)(2, 1, 3, padding=1).double() if case == "pixels" else None
        assert again is None or step_of(again, x, y, "binary_cross_entropy", "exact")[1] > 0


def kfac_reference(model, x, y, *, criterion, axis):
    """One output at a time: A over all positions of a layer, B over samples, positions and the columns of R."""
    calls = {}
    handles = [
        m.register_forward_hook(lambda m, i, o, k=k: calls.__setitem__(k, (i[0], o)))
        for k, m in model.named_modules()
        if isinstance(m, nn.Linear)
    ]
    f = model(x)
    for handle in handles:
        handle.remove()
    value = with_axis(criterion, axis)(f, y)
    found = torch.autograd.grad(value, list(model.parameters()), retain_graph=True)
    grads = dict(zip(dict(model.named_parameters()), found, strict=True))
    count = y.numel()
    result = {}
    for name, (a, out) in calls.items():
        a = torch.cat([a.detach(), torch.ones_like(a[..., :1])], -1).reshape(-1, a.shape[-1] + 1)
        b = 0.0
        logits = f.movedim(axis, -1)
        for n in range(len(x)):
            for place in range(y[0].numel()):
                p = logits[n].reshape(-1, 4)[place].softmax(0).detach()
                root = torch.diag(p.sqrt()) - torch.outer(p, p.sqrt())
                for k in range(4):
                    (g,) = torch.autograd.grad(
                        (logits[n].reshape(-1, 4)[place] * root[:, k]).sum(), out, retain_graph=True
                    )
                    g = g.reshape(-1, g.shape[-1])
                    b = b + g.T @ g
        a_mean, b_mean = a.T @ a / count, b / (out.numel() // out.shape[-1])
        pi = (a_mean.diagonal().mean() / b_mean.diagonal().mean()).sqrt()
        eye = torch.eye
        left = torch.linalg.inv(b_mean + RHO**0.5 / pi * eye(len(b_mean), dtype=b_mean.dtype))
        right = torch.linalg.inv(a_mean + pi * RHO**0.5 * eye(len(a_mean), dtype=a_mean.dtype))
        v = torch.cat([grads[f"{name}.weight"], grads[f"{name}.bias"].unsqueeze(1)], 1)
        moved = left @ v @ right
        result[f"{name}.weight"], result[f"{name}.bias"] = moved[:, :-1], moved[:, -1]
        result[f"{name}: B"] = b_mean
    return result


@pytest.mark.parametrize("mixed", [True, False])
@pytest.mark.parametrize("everyday", [True, False])
def test_kfac_is_that_of_a_slow_reference(mixed, everyday):
    model, x, y = Tokens(mixed=mixed).double(), drawn(5, 3, 2), classes(5, 3)
    expected = kfac_reference(model, x, y, criterion=nn.CrossEntropyLoss(), axis=-1)
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    opt = NaturalGradient(model, "cross_entropy", "kfac", damping=RHO, lr=1.0, kl_clip=None)
    if everyday:
        F.cross_entropy(model(x).flatten(0, 1), y.flatten()).backward()
        opt.step()
    else:
        opt.step(x, y)
    found = {name: before[name] - p.detach() for name, p in model.named_parameters()}
    assert_equal(found, {name: value for name, value in expected.items() if name in found})
    for layer in ("inner", "head"):
        b = opt.state_dict()["natural"]["approximation"]["blocks"][f"{layer}.weight"]["b"][0]
        torch.testing.assert_close(b, expected[f"{layer}: B"], rtol=1e-9, atol=1e-12)


def test_tokens_as_positions_are_tokens_as_samples():
    """Where positions don't mix, (N, T, C) is (N T, C)."""
    x, y = drawn(5, 3, 2), classes(5, 3)
    for approx, fisher in (("exact", "model"), ("kfac", "model"), ("kfac", "empirical"), ("exact", "empirical")):
        found = step_of(Tokens(mixed=False).double(), x, y, "cross_entropy", approx, fisher=fisher)[0]
        twin = nn.Sequential(*_flat_twin())
        flat = step_of(twin, x.flatten(0, 1), y.flatten(), "cross_entropy", approx, fisher=fisher)[0]
        for name, other in (("inner.weight", "0.weight"), ("head.bias", "2.bias")):
            torch.testing.assert_close(found[name], flat[other], rtol=1e-9, atol=1e-12)


def _flat_twin():
    tokens = Tokens(mixed=False).double()
    return tokens.inner, nn.Tanh(), tokens.head


def test_a_sampled_step_draws_a_target_for_every_position():
    x, y = drawn(200, 3, 2), classes(200, 3)
    opts = []
    for fisher in ("model", "sampled"):
        model = Tokens().double()
        opts.append(NaturalGradient(model, "cross_entropy", "kfac", fisher=fisher, damping=RHO, lr=1e-9))
        opts[-1].step(x, y)
    exact, drawn_b = (o.state_dict()["natural"]["approximation"]["blocks"]["head.weight"]["b"][0] for o in opts)
    assert float((exact - drawn_b).norm() / exact.norm()) < 0.1


def test_many_columns_are_replaced_by_signs_with_the_right_mean(monkeypatch):
    from linnet.core.jacobian import cross_entropy
    from linnet.optim.natural.kronecker import kfac

    x, y = drawn(300, 3, 2), classes(300, 3)
    bs = []
    for most in (128, 3, 2):  # all columns, those of all positions together, and one pass
        for module in (cross_entropy, kfac):
            monkeypatch.setattr(module, "MOST_PASSES", most)
        opt = NaturalGradient(Tokens().double(), "cross_entropy", "kfac", damping=RHO, lr=1e-9)
        opt.step(x, y)
        bs.append(opt.state_dict()["natural"]["approximation"]["blocks"]["inner.weight"]["b"][0])
    for b in bs[1:]:
        assert float((b - bs[0]).norm() / bs[0].norm()) < 0.15


@pytest.mark.parametrize("approx", ["exact", "kfac"])
def test_both_ways_to_step_refuse_outputs_whose_classes_arent_known(approx):
    class Turned(Tokens):
        def forward(self, x):
            return super().forward(x).mT.clone()

    model, x, y = Turned(), drawn(5, 3, 2).float(), classes(5, 3)
    opt = NaturalGradient(model, "cross_entropy", approx, damping=0.1)
    with pytest.raises(InputError, match="`class_dim`"):
        opt.step(x, y)
    if approx == "kfac":
        with pytest.raises(InputError, match="`class_dim`"):
            model(x)
    del opt  # its hook goes with it
    gc.collect()
    given = NaturalGradient(model, "cross_entropy", approx, damping=0.1, class_dim=1)
    assert given.step(x, y) > 0


def test_targets_of_another_shape_name_the_axis():
    opt = NaturalGradient(Tokens(), "cross_entropy", "exact", damping=0.1, class_dim=-1)
    with pytest.raises(InputError, match="axis of the classes being 2"):
        opt.step(drawn(5, 3, 2).float(), classes(5, 4))
    with pytest.raises(InputError, match="add up to 1"):
        opt.step(drawn(5, 3, 2).float(), torch.ones(5, 3, 4))
    with pytest.raises(InputError, match="a target that counts"):
        opt.step(drawn(5, 3, 2).float(), torch.full((5, 3), -100))


class Told(nn.Module):
    """Gives more than its logits."""

    def __init__(self, kind):
        super().__init__()
        self.kind, self.tokens = kind, Tokens()

    def forward(self, x):
        f = self.tokens(x)
        return {"tuple": (f.sum(), f), "dict": {"loss": None, "logits": f}}[self.kind]


@pytest.mark.parametrize(("kind", "key"), [("tuple", 1), ("dict", "logits")])
@pytest.mark.parametrize("approx", ["exact", "kfac"])
def test_outputs_are_named_by_a_function(kind, key, approx):
    x, y = drawn(5, 3, 2), classes(5, 3)
    expected = step_of(Tokens().double(), x, y, "cross_entropy", approx)[0]
    found = step_of(Told(kind).double(), x, y, "cross_entropy", approx, output=lambda out: out[key])[0]
    assert_equal({name.removeprefix("tokens."): v for name, v in found.items()}, expected, 1e-12)
    if approx == "kfac":
        model = Told(kind).double()
        opt = NaturalGradient(model, "cross_entropy", "kfac", output=lambda out: out[key])
        F.cross_entropy(model(x)[key].flatten(0, 1), y.flatten()).backward()
        opt.step()
        assert opt.alpha > 0
    with pytest.raises(CaptureError, match="output=lambda"):
        NaturalGradient(Told(kind).double(), "cross_entropy", approx, damping=0.1).step(x, y)


def test_axes_of_length_one_are_no_positions():
    x, y = drawn(4, 3, 2).float(), classes(4, 3)
    model = nn.Sequential(Tokens(), nn.Flatten(0, 1), nn.Unflatten(1, (4, 1, 1)))
    opt = NaturalGradient(model, "cross_entropy", "kfac")
    F.cross_entropy(model(x).flatten(1), y.flatten()).backward()
    opt.step()
    assert opt.alpha > 0


def test_every_position_of_a_quadratic_loss_is_an_output():
    model = Tokens()
    opt = NaturalGradient(model, "mse", "kfac", damping=0.1, lr=0.01)
    x, targets = drawn(4, 3, 2).float(), torch.zeros(4, 3, 4)
    first = opt.step(x, targets)
    assert opt.step(x, targets) < first


@pytest.mark.parametrize(
    "loss", [nn.CrossEntropyLoss(reduction="sum"), nn.MSELoss(), nn.BCEWithLogitsLoss(reduction="none")]
)
def test_criteria_in_other_units_are_refused(loss):
    with pytest.raises(InputError, match="`loss`"):
        NaturalGradient(Tokens(), loss, "kfac", damping=0.1)
