"""ONNX files: what they hold, what they compute, and what is left when something fails."""

import errno
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

import linnet
from linnet.errors import GraphError, InputError, MissingExtra, ProofError
from linnet.models import Tiny, create
from linnet.prune import Budget, Pruner, export, extract, plan

onnx = pytest.importorskip("onnx", reason="the extra `onnx` isn't installed")
onnxruntime = pytest.importorskip("onnxruntime", reason="the extra `onnx` isn't installed")
pytest.importorskip("onnxscript", reason="the extra `onnx` isn't installed")

EXAMPLE = torch.zeros(1, 3, 8, 8)


def _run(path, *inputs):
    run = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    return run.run(None, {i.name: x.numpy() for i, x in zip(run.get_inputs(), inputs, strict=True)})


def _small(rng_seed=0):
    torch.manual_seed(rng_seed)
    net = Tiny(input_shape=(3, 8, 8), classes=4, width=16)
    net(torch.randn(16, 3, 8, 8))  # statistics that aren't 0 and 1
    return extract(net, plan(net, EXAMPLE, Budget(macs=0.5))).eval()


def test_the_file_computes_the_network_with_any_number_of_samples_and_no_batch_norm(tmp_path):
    small = _small()
    path = export(small, tmp_path / "small.onnx")
    for samples in (1, 5, 32):
        x = torch.randn(samples, 3, 8, 8)
        torch.testing.assert_close(torch.from_numpy(_run(path, x)[0]), small(x).detach(), rtol=1e-4, atol=1e-5)
    kinds = {node.op_type for node in onnx.load(path).graph.node}
    assert "Conv" in kinds
    assert "BatchNormalization" not in kinds
    assert small.training is False
    assert all(parameter.requires_grad for parameter in small.parameters())


def test_the_file_is_small_and_tells_nothing_of_this_machine(tmp_path):
    small = _small()
    written = export(small, tmp_path / "small.onnx").read_bytes()
    assert len(written) < sum(4 * p.numel() for p in small.parameters()) + 4096
    assert str(Path(linnet.__file__).parent).encode() not in written
    assert b".py" not in written


def test_a_training_network_stays_in_training_mode_and_its_statistics_too(tmp_path):
    small = _small().train()
    before = {name: tensor.clone() for name, tensor in small.state_dict().items()}
    export(small, tmp_path / "small.onnx")
    assert small.training
    assert all(torch.equal(before[name], tensor) for name, tensor in small.state_dict().items())


def test_what_was_loaded_still_knows_its_example(tmp_path):
    linnet.save(_small(), tmp_path / "small.safetensors")
    found = linnet.load(Tiny(input_shape=(3, 8, 8), classes=4, width=16), tmp_path / "small.safetensors")
    x = torch.randn(2, 3, 8, 8)
    given = _run(export(found, tmp_path / "small.onnx"), x)[0]
    np.testing.assert_allclose(given, found.eval()(x).detach(), rtol=1e-4, atol=1e-5)


def test_a_network_without_an_edit_needs_an_example(tmp_path):
    with pytest.raises(InputError, match=r"`example`.*export\(network, path, torch\.zeros"):
        export(create("tiny"), tmp_path / "tiny.onnx")


def test_a_masked_network_is_refused_for_what_finish_gives(tmp_path):
    net = nn.Sequential(nn.Conv2d(3, 16, 3), nn.ReLU(), nn.Flatten(), nn.Linear(576, 2))
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    pruner = Pruner(net, EXAMPLE, Budget(macs=0.5), steps=4, warmup=1, compact=False)
    for _ in range(2):
        net(torch.randn(5, 3, 8, 8)).logsumexp(1).mean().backward()
        optimizer.step()
        pruner.step(optimizer)
    with pytest.raises(GraphError, match="`finish`"):
        export(net, tmp_path / "masked.onnx", EXAMPLE)
    small, x = pruner.finish().eval(), torch.randn(3, 3, 8, 8)
    given = _run(export(small, tmp_path / "small.onnx"), x)[0]
    np.testing.assert_allclose(given, net.eval()(x).detach(), rtol=1e-4, atol=1e-5)


class _Two(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3, padding=1)

    def forward(self, image, *, scale):
        y = self.conv(image)
        return {"map": y, "score": y.mean(dim=(1, 2, 3)) * scale}


def test_several_inputs_and_outputs_in_half_precision_become_float32(tmp_path):
    net = _Two().half()
    example = {"image": torch.zeros(1, 3, 6, 6).half(), "scale": torch.zeros(1).half()}
    path = export(net, tmp_path / "two.onnx", example)
    image, scale = torch.randn(3, 3, 6, 6), torch.randn(3)
    wanted = net.float()(image, scale=scale)
    for given, name in zip(_run(path, image, scale), ("map", "score"), strict=True):
        np.testing.assert_allclose(given, wanted[name].detach(), rtol=1e-4, atol=1e-5)


class _Noisy(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3)

    def forward(self, x):
        y = self.conv(x)
        return y + torch.randn_like(y)


def test_a_file_that_computes_something_else_is_not_kept(tmp_path):
    path = tmp_path / "noisy.onnx"
    path.write_bytes(b"old")
    with pytest.raises(ProofError, match=r"noisy\.onnx.*onnxruntime"):
        export(_Noisy(), path, EXAMPLE)
    assert path.read_bytes() == b"old"
    assert [file.name for file in tmp_path.iterdir()] == ["noisy.onnx"]


def test_an_operator_without_an_onnx_form_is_refused(tmp_path):
    class Odd(nn.Module):
        def forward(self, x):
            return torch.linalg.eigvals(x[:, 0])

    with pytest.raises(GraphError, match=r"`Odd`.*ONNX"):
        export(Odd(), tmp_path / "odd.onnx", EXAMPLE)
    assert not list(tmp_path.iterdir())


def test_a_full_disk_leaves_no_half_file(tmp_path, monkeypatch):
    def full(path, payload):
        path.write_bytes(payload[:100])
        raise OSError(errno.ENOSPC, "No space left on device", str(path))

    monkeypatch.setattr("linnet.results.files._write", full)
    path = tmp_path / "small.onnx"
    path.write_bytes(b"old")
    with pytest.raises(OSError, match="No space left"):
        export(_small(), path)
    assert path.read_bytes() == b"old"
    assert [file.name for file in tmp_path.iterdir()] == ["small.onnx"]


@pytest.mark.parametrize("package", ["onnx", "onnxscript", "onnxruntime"])
def test_a_missing_extra_names_the_line_that_installs_it(tmp_path, monkeypatch, package):
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(MissingExtra, match=rf'\b{package}\b.*pip install "linnet\[onnx\]"'):
        export(_small(), tmp_path / "small.onnx")


def test_a_name_that_is_no_onnx_files_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"`path`.*\.onnx"):
        export(_small(), tmp_path / "small.pt")


def test_images_of_any_size_go_through_a_file_that_leaves_it_open(tmp_path):
    net = nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(8, 2, 1)
    )
    for any_size in (False, True):
        path = export(net, tmp_path / "net.onnx", torch.zeros(1, 3, 16, 16), any_size=any_size)
        run = onnxruntime.InferenceSession(str(path))
        x = torch.randn(2, 3, 24, 40)
        if not any_size:
            with pytest.raises(Exception, match="dimension"):
                run.run(None, {run.get_inputs()[0].name: x.numpy()})
            continue
        (found,) = run.run(None, {run.get_inputs()[0].name: x.numpy()})
        torch.testing.assert_close(torch.from_numpy(found), net.eval()(x).detach(), rtol=1e-4, atol=1e-5)
