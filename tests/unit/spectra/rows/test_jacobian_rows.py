"""Spilled blocks, products without a kernel, one layer alone, costs, the trace of the outputs, progress."""

import tempfile
from pathlib import Path

import pytest
import torch
from torch import nn

from linnet.core.jacobian.linearisation import Linearisation
from linnet.core.jacobian.losses import LOSSES
from linnet.spectra import ntk
from linnet.spectra.rows import jacobian_rows
from linnet.spectra.rows.jacobian_rows import JacobianRows, every_output
from linnet.spectra.rows.spilled import SpilledBlocks
from tests.unit.optim.natural.dense import jacobian


def network() -> tuple[nn.Module, torch.Tensor]:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(2, 4, 3), nn.Tanh(), nn.Flatten(), nn.Linear(36, 5), nn.ReLU(), nn.Linear(5, 3))
    return model.double(), torch.randn(6, 2, 5, 5, dtype=torch.float64)


def test_products_without_a_kernel_are_those_of_the_matrix():
    model, x = network()
    v = torch.randn(18, dtype=torch.float64)
    for memory in (2**30, 20_000, 1):
        with JacobianRows(model, x, memory=memory) as rows:
            matrix = rows.matrix()
            torch.testing.assert_close(rows.product(v), matrix @ (matrix.T @ v))
            torch.testing.assert_close(rows.kernel(), matrix @ matrix.T)
            torch.testing.assert_close(rows.primal(), matrix.T @ matrix)
            flat = torch.cat([p.flatten() for p in rows.pull(v).values()])
            torch.testing.assert_close(flat, matrix.T @ v)
            assert rows.parameters == matrix.shape[1] == sum(p.numel() for p in model.parameters())
            assert (rows.spilled_bytes > 0) == (memory < 2**20)


def test_the_bytes_are_those_of_the_captured_tensors():
    """Foreseen from one sample and one pass: the batch that a sample is a view of doesn't count."""
    model, x = network()
    with JacobianRows(model, x, memory=2**30) as rows:
        ((_, layers),) = rows.blocks()
        held = {t.data_ptr(): t.nbytes for layer in layers for term in layer.terms.values() for t in term.held()}
        assert rows.held_bytes == sum(held.values())


@pytest.mark.parametrize("memory", [2**30, 40_000])
def test_rows_that_are_smaller_than_what_they_are_made_from_take_its_place(memory):
    """An early convolution has 27 weights and 100 positions."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(3, 1, 3, padding=1), nn.BatchNorm2d(1), nn.Flatten(), nn.Linear(100, 2))
    model, x = model.double().eval(), torch.randn(9, 3, 10, 10, dtype=torch.float64)
    with JacobianRows(model, x, memory=memory) as rows:
        ((_, layers), *others) = rows.blocks()
        conv, norm, head = layers
        assert conv.bytes_with(2) == conv.samples * 2 * (27 + 1) * 8
        assert bool(others) == (memory < 2**20)
        matrix = rows.matrix()
        torch.testing.assert_close(rows.kernel(), matrix @ matrix.T)
        v = torch.randn(18, dtype=torch.float64)
        torch.testing.assert_close(rows.product(v), matrix @ (matrix.T @ v))
        assert [rows.costs[layer.name].way for layer in (conv, norm, head)] == ["gradients", "rows", "positions"]
        assert rows.costs["0"].gradients_cost > 0
    torch.testing.assert_close(ntk(model, x, x[:4], memory=memory), (matrix @ matrix.T)[:, :8])


@pytest.mark.parametrize("memory", [2**30, 40_000])
def test_samples_are_captured_a_few_at_a_time(memory, monkeypatch):
    """Shared inputs and shared uses of a layer stay shared; the ways are those of the whole block."""
    monkeypatch.setattr(jacobian_rows, "_PART_BYTES", 1)
    monkeypatch.setattr(jacobian_rows, "_PART_SAMPLES", 2)
    torch.manual_seed(0)

    class Forked(nn.Module):
        def __init__(self):
            super().__init__()
            self.one, self.two = nn.Conv2d(2, 2, 3, padding=1), nn.Conv2d(2, 2, 1)
            self.norm, self.head = nn.BatchNorm2d(2), nn.Linear(2 * 64, 3)

        def forward(self, x):
            y = self.norm(self.one(self.one(x).tanh()) + self.two(x))
            return self.head(y.flatten(1))

    model, x = Forked().double().eval(), torch.randn(7, 2, 8, 8, dtype=torch.float64)
    j = torch.cat(list(jacobian(model, x).values()), dim=1)
    with JacobianRows(model, x, memory=memory) as rows:
        assert rows._part < rows.block
        assert (rows.block < len(x)) == (memory < 2**20)
        torch.testing.assert_close(rows.kernel(), j @ j.T, rtol=1e-10, atol=1e-12)
        assert torch.equal(rows.kernel(), rows.kernel().T)
        torch.testing.assert_close(sum(rows.kernels().values()), j @ j.T, rtol=1e-10, atol=1e-12)
        torch.testing.assert_close(rows.diagonal(), j.square().sum(1), rtol=1e-10, atol=1e-12)
        v = torch.randn(21, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
        torch.testing.assert_close(rows.product(v), j @ (j.T @ v), rtol=1e-10, atol=1e-10)
        torch.testing.assert_close(rows.f, model(x).detach())
        whole = Linearisation(model)
        with whole as linear:
            layers = linear.rows(every_output(linear.forward(x[: rows.block]).detach()))
        assert {layer.name: rows.costs[layer.name].gradients_cost for layer in layers if layer.plan()} == {
            layer.name: layer.plan().gradients_cost for layer in layers if layer.plan()
        }


def test_cotangents_put_the_curvature_of_the_loss_into_the_rows():
    model, x = network()
    with (
        JacobianRows(model, x, LOSSES["cross_entropy"].root, memory=2**20) as rows,
        JacobianRows(model, x, memory=2**20) as plain,
    ):
        p = rows.f.softmax(1)
        q = torch.block_diag(*[torch.diag(row) - torch.outer(row, row) for row in p])
        j = plain.matrix()
        torch.testing.assert_close(rows.primal(), j.T @ q @ j)
        assert rows.passes == 2


def test_one_layer_alone():
    model, x = network()
    with JacobianRows(model, x, memory=2**20, only="3") as rows:
        torch.testing.assert_close(rows.kernel(), ntk(model, x, layers="each")["3"])
        assert rows.parameters == 36 * 5 + 5


def test_costs_tell_the_way_of_each_layer():
    model, x = network()
    with JacobianRows(model, x, memory=2**20) as rows:
        rows.kernel()
        assert list(rows.costs) == ["0", "3", "5"]
        for cost in rows.costs.values():
            cheaper = "positions" if cost.positions_cost <= cost.gradients_cost else "gradients"
            assert cost.way == cheaper
            assert cost.wall_s > 0
        assert rows.costs["0"].kind == "Conv2d"


def test_rows_are_captured_again_where_the_disk_is_full(monkeypatch):
    model, x = network()
    whole = ntk(model, x)
    monkeypatch.setattr(jacobian_rows, "room_on_disk", lambda: 0)
    with JacobianRows(model, x, memory=20_000) as rows:
        torch.testing.assert_close(rows.kernel(), whole)
        assert rows.spilled_bytes == 0


def test_files_go_even_after_an_error(monkeypatch):
    model, x = network()
    before = set(Path(tempfile.gettempdir()).glob("linnet-rows-*"))

    def broken(linear, x):
        raise KeyboardInterrupt

    with JacobianRows(model, x, memory=1):
        assert set(Path(tempfile.gettempdir()).glob("linnet-rows-*")) - before
    assert not set(Path(tempfile.gettempdir()).glob("linnet-rows-*")) - before
    monkeypatch.setattr(SpilledBlocks, "put", broken)
    with pytest.raises(KeyboardInterrupt):
        JacobianRows(model, x, memory=1)
    assert not set(Path(tempfile.gettempdir()).glob("linnet-rows-*")) - before


def test_blocks_in_host_memory_come_back_as_they_were():
    """As CUDA's are kept, tried with what there is."""
    model, x = network()
    with JacobianRows(model, x, memory=2**20) as rows, SpilledBlocks(torch.device("meta")) as host:
        host._device = torch.device("cpu")
        ((_, layers),) = rows.blocks()
        host.put(layers)
        for ours, theirs in zip(layers, host.get(0), strict=True):
            assert torch.equal(ours.gram(), theirs.gram())


def test_the_trace_over_outputs_is_unbiased_and_knows_its_error():
    model, x = network()
    full = ntk(model, x).view(6, 3, 6, 3)
    exact = full.diagonal(dim1=1, dim2=3).sum(2) / 3
    found = ntk(model, x, outputs="trace", draws=64)
    assert found.kernel.shape == (6, 6)
    z = (found.kernel - exact) / found.standard_error
    assert float(z.abs().max()) < 4.5
    assert 0.5 < float(z.square().mean()) < 2
    each = ntk(model, x, layers="each", outputs="trace", draws=64)
    torch.testing.assert_close(sum(k.kernel for k in each.values()), found.kernel)
    crossed = ntk(model, x[:2], x[2:], outputs="trace", draws=64)
    torch.testing.assert_close(crossed.kernel, found.kernel[:2, 2:])


def test_progress_is_told():
    model, x = network()
    told = []
    ntk(model, x, memory=20_000, progress=lambda done, total: told.append((done, total)))
    assert [done for done, _ in told] == list(range(1, told[-1][1] + 1))
    assert len(told) > 1
