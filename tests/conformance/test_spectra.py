"""Kernels and Fisher matrices beside other hands' code, in float64: torch.func, nngeometry, curvlinops, backpack,
scipy."""

import pytest
import torch
from scipy.sparse.linalg import LinearOperator, eigsh
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from linnet.spectra import fisher, ntk

F64 = torch.float64
NETS = {
    "linear": (lambda: nn.Sequential(nn.Linear(5, 7), nn.ReLU(), nn.Linear(7, 3)), (5,)),
    "conv": (
        lambda: nn.Sequential(nn.Conv2d(2, 4, 3, stride=2), nn.ReLU(), nn.Flatten(), nn.Linear(16, 3)),
        (2, 5, 5),
    ),
}


@pytest.fixture(params=NETS)
def problem(request):
    torch.manual_seed(0)
    make, shape = NETS[request.param]
    return make().double(), torch.randn(6, *shape, dtype=F64), torch.randint(0, 3, (6,))


@pytest.fixture
def double():
    """nngeometry makes its matrices in torch's default dtype."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(F64)
    yield
    torch.set_default_dtype(before)


def test_the_kernel_is_the_contraction_of_torch_func(problem):
    model, x, _ = problem
    values = {name: p.detach() for name, p in model.named_parameters()}
    rows = torch.func.jacrev(lambda p: torch.func.functional_call(model, p, (x,)))(values)
    expected = sum(torch.einsum("ncp,mdp->ncmd", j.flatten(2), j.flatten(2)) for j in rows.values())
    torch.testing.assert_close(ntk(model, x), expected.reshape(18, 18), rtol=1e-10, atol=1e-12)


def test_the_gram_matrix_is_that_of_nngeometry(problem, double):
    gram = pytest.importorskip("nngeometry.gram", reason="nngeometry isn't installed (make peers)")
    model, x, y = problem
    theirs = gram.GramMatrix(model, DataLoader(TensorDataset(x, y), batch_size=4)).data
    torch.testing.assert_close(ntk(model, x), theirs.permute(1, 0, 3, 2).reshape(18, 18), rtol=1e-9, atol=1e-12)


def test_the_fisher_matrix_is_that_of_nngeometry(problem, double):
    metrics = pytest.importorskip("nngeometry.metrics", reason="nngeometry isn't installed (make peers)")
    from nngeometry.object.pspace import PMatDense

    model, x, y = problem
    loader = DataLoader(TensorDataset(x, y), batch_size=6)
    theirs = metrics.FIM(model, loader, PMatDense, variant="classif_logits").to_torch()
    found = fisher(model, x, "cross_entropy").eigenvalues
    expected = torch.linalg.eigvalsh(theirs.double()).flip(0)[: len(found)]
    torch.testing.assert_close(found, expected, rtol=1e-8, atol=1e-8 * float(expected[0]))


@pytest.mark.filterwarnings("ignore:.*torch.jit.script.*:DeprecationWarning")  # of what curvlinops imports
@pytest.mark.parametrize("loss", ["mse", "cross_entropy"])
def test_products_are_those_of_the_ggn_of_curvlinops(problem, loss):
    curvlinops = pytest.importorskip("curvlinops", reason="curvlinops isn't installed (make peers)")
    model, x, y = problem
    parameters = list(model.parameters())
    target = y if loss == "cross_entropy" else torch.zeros(6, 3, dtype=F64)
    criterion = nn.CrossEntropyLoss() if loss == "cross_entropy" else nn.MSELoss()
    ggn = curvlinops.GGNLinearOperator(model, criterion, parameters, [(x, target)], check_deterministic=False)
    size = sum(p.numel() for p in parameters)
    dense = torch.stack([torch.as_tensor(ggn @ e) for e in torch.eye(size, dtype=F64)])
    scale = 1.0 if loss == "cross_entropy" else 3 / 2  # nn.MSELoss is 2/C times linnet's half squares
    found = fisher(model, x, loss).eigenvalues
    expected = torch.linalg.eigvalsh(dense * scale).flip(0)[: len(found)]
    torch.testing.assert_close(found, expected, rtol=1e-8, atol=1e-8 * float(expected[0]))


@pytest.mark.filterwarnings("ignore:Full backward hook is firing:UserWarning")  # backpack's hooks
def test_the_trace_is_the_sum_of_backpack_squares(problem):
    backpack = pytest.importorskip("backpack", reason="backpack isn't installed (make peers)")
    from backpack.extensions import SumGradSquared

    model, x, _ = problem
    total = 0.0
    for number in range(3):
        twin = backpack.extend(nn.Sequential(*list(model)))
        pick = backpack.extend(nn.Linear(3, 1, bias=False, dtype=F64)).requires_grad_(requires_grad=False)
        pick.weight.data = torch.eye(3, dtype=F64)[number : number + 1]
        f = pick(twin(x))
        loss = backpack.extend(nn.MSELoss(reduction="sum"))(f, (f - 0.5).detach())  # gradient 1 for each sample
        with backpack.backpack(SumGradSquared()):
            loss.backward()
        total += sum(float(p.sum_grad_squared.sum()) for p in model.parameters())
        model.zero_grad()
    assert fisher(model, x).mean * sum(p.numel() for p in model.parameters()) == pytest.approx(total / 6, rel=1e-9)


def test_top_eigenvalues_are_those_of_arpack(problem):
    model, x, _ = problem
    found = fisher(model, x)
    product, _, _ = found.source.product()
    matrix = LinearOperator((18, 18), matvec=lambda v: (product(torch.as_tensor(v).flatten()) / 6).numpy())
    expected = eigsh(matrix, k=4, which="LA", return_eigenvectors=False)[::-1].copy()
    torch.testing.assert_close(found.top(4).values, torch.as_tensor(expected), rtol=1e-8, atol=1e-10)
