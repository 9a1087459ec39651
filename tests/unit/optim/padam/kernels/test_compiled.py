"""The compiled way: equal to the loop, few kernels, and a fallback that says so."""

import logging

import pytest
import torch

from linnet.optim import Padam
from linnet.optim.padam.implementation import compiler
from linnet.optim.padam.kernels import compiled
from linnet.optim.padam.kernels.compiled import CONSTANT_POWERS, SMALL, Compiled, CompilingFailed
from linnet.optim.padam.numbers import Slot, numbers_of

needs_compiler = pytest.mark.skipif(compiler() is None, reason="needs a C++ compiler for torch.compile")


@pytest.mark.compile
@pytest.mark.slow
@needs_compiler
@pytest.mark.filterwarnings("ignore")  # torch's own while it compiles
@pytest.mark.parametrize(
    ("settings", "values"),
    [
        ({"p": 0.125}, [0.125]),
        ({"p": 0.4, "bias_correction": "power", "weight_decay": 0.1, "decoupled": True, "eps": 0.0}, [0.4]),
    ],
)
def test_a_compiled_step_is_the_loops(settings, values):
    ends = []
    for impl in ("loop", "compiled"):
        generator = torch.Generator().manual_seed(0)
        xs = [
            torch.nn.Parameter(torch.randn(shape, generator=generator, dtype=torch.float64))
            for shape in ((SMALL + 3,), (7,), (70, 80))
        ]
        opt = Padam(xs, impl=impl, **settings)
        rates = torch.optim.lr_scheduler.ExponentialLR(opt, 0.9)
        for _ in range(20):
            for x in xs:
                x.grad = torch.randn(x.shape, generator=generator, dtype=torch.float64)
            opt.step()
            rates.step()
        assert opt.impl == impl
        ends.append(torch.cat([x.detach().flatten() for x in xs]))
    torch.testing.assert_close(ends[1], ends[0], rtol=1e-12, atol=1e-12)


@pytest.fixture
def plain(monkeypatch):
    """Kernels that are not compiled, and the kinds that were asked for."""
    asked = []

    def kernel(kind):
        asked.append(kind)
        return compiled._function(kind)

    monkeypatch.setattr(compiled, "kernel", kernel)
    return asked


@pytest.mark.parametrize("p", [0.0, 0.125, 0.4])
@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_the_function_that_is_compiled_is_the_loop(plain, p, dtype):
    x, y = (torch.nn.Parameter(torch.linspace(-1, 1, SMALL + 1).to(dtype)) for _ in range(2))
    ours = Padam([x], p=p, impl="loop", weight_decay=0.1)
    theirs = Compiled()
    group = ours.param_groups[0]
    m, v, u = (torch.zeros_like(y, dtype=torch.float64 if dtype == torch.float64 else torch.float32) for _ in range(3))
    for t in range(1, 4):
        x.grad = torch.cos(torch.arange(len(x)) * float(t)).to(dtype)
        ours.step()
        with torch.no_grad():
            theirs([Slot(y, x.grad, m, v, u)], numbers_of(group, t))
    bound = 1e-12 if dtype == torch.float64 else 2**-7
    torch.testing.assert_close(y, x, rtol=bound, atol=bound)


def test_p_is_a_number_of_the_kernel_after_eight_values(plain):
    kernels = Compiled()
    x, m, v, u = (torch.zeros(SMALL) for _ in range(4))
    group = dict(Padam([torch.zeros(1, requires_grad=True)]).param_groups[0])
    for n in range(CONSTANT_POWERS + 3):
        kernels([Slot(x, x, m, v, u)], numbers_of(group | {"p": 0.1 + n / 100}, 1))
    assert [kind.p for kind in plain[-3:]] == [None] * 3
    assert len(set(plain)) == CONSTANT_POWERS + 1


def test_when_compiling_fails_it_says_so_and_goes_on(monkeypatch, caplog):
    def kernel(kind):
        raise CompilingFailed("no compiler today")

    monkeypatch.setattr(compiled, "kernel", kernel)
    monkeypatch.setattr("linnet.optim.padam.implementation.compiler", lambda: "g++")
    x, y = (torch.nn.Parameter(torch.ones(40_000)) for _ in range(2))
    x.grad = y.grad = torch.ones(40_000)
    opt = Padam([x], impl="compiled")
    with caplog.at_level(logging.WARNING, logger="linnet.optim.padam.padam"):
        opt.step()
        opt.step()
    (told,) = [record.message for record in caplog.records]
    assert "impl='blocked'" in told
    assert "no compiler today" in told
    other = Padam([y], impl="blocked")
    other.step()
    other.step()
    assert torch.equal(x, y)
    assert float(opt.state[x]["step"]) == 2
