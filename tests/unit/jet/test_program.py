import numpy as np
import pytest
import torch
from torch import nn

from linnet.errors import CheckpointError, InputError
from linnet.jet import BinaryConv2d, BinaryLinear, JetConv2d, Program, Sign, freeze
from tests.jet_networks import random_network


def classifier():
    torch.manual_seed(0)
    net = nn.Sequential(
        JetConv2d(1, 4, padding=1), nn.BatchNorm2d(4), Sign(), nn.MaxPool2d(2),
        BinaryConv2d(4, 6), nn.BatchNorm2d(6), Sign(), nn.Flatten(), BinaryLinear(54, 3), nn.BatchNorm1d(3),
    )  # fmt: skip
    for norm in (net[1], net[5], net[9]):
        norm.running_mean.normal_()  # no exact ties, which float64 can't tell
    return net.eval()


@pytest.fixture(scope="module")
def program():
    return freeze(classifier(), torch.randint(0, 256, (2, 1, 10, 10)), pixels=(2 / 255, -1.0))


def test_run_trace_predict_and_logits_tell_the_same(program):
    x = torch.randint(0, 256, (300, 1, 10, 10), dtype=torch.uint8)
    out = program.run(x)
    assert out.dtype == torch.int64
    assert torch.equal(out, program.run(x, backend="torch"))
    assert torch.equal(out, program.run(x.numpy()))
    trace = program.trace(x)
    assert list(trace) == ["input", "0", "2", "3", "4", "6", "7", "8", "scores"]
    assert torch.equal(trace["scores"], out)
    assert set(trace["2"].unique().tolist()) == {-1, 1}
    logits = classifier().double()(x.double() * (2 / 255) - 1)
    assert (program.logits(x) - logits).abs().max() <= program.score_error + 1e-9
    assert torch.equal(program.predict(x), logits.argmax(1))
    assert torch.equal(program.run(x[0])[0], out[0])


def test_save_and_load_keep_every_integer_and_the_hash(program, tmp_path):
    path = program.save(tmp_path / "net.safetensors")
    again = Program.load(path)
    x = torch.randint(0, 256, (5, 1, 10, 10))
    assert again.hash == program.hash
    assert again.facts == program.facts
    assert torch.equal(again.run(x), program.run(x))
    assert str(again) == str(program)


def test_a_changed_file_and_another_kind_are_refused(program, tmp_path):
    from linnet import save

    path = program.save(tmp_path / "net.safetensors")
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    (tmp_path / "bad.safetensors").write_bytes(content)
    with pytest.raises(CheckpointError, match="SHA-256"):
        Program.load(tmp_path / "bad.safetensors")
    with pytest.raises(CheckpointError, match=r"an integer program \(got a network"):
        Program.load(save(nn.Linear(1, 1), tmp_path / "other.safetensors"))


def test_another_version_and_a_wrong_hash_are_refused(program, tmp_path, monkeypatch):
    from linnet.engine.files.tensor_file import Kind, read_tensors, write_tensors
    from linnet.jet.integer import file

    path = program.save(tmp_path / "net.safetensors")
    tensors, facts = read_tensors(path, file.PROGRAM)
    write_tensors(tmp_path / "new.safetensors", tensors, facts, Kind("integer program", 99))
    with pytest.raises(CheckpointError, match=r"version 1 or earlier \(got 99\)"):
        Program.load(tmp_path / "new.safetensors")
    write_tensors(tmp_path / "hash.safetensors", tensors, {**facts, "hash": "0" * 64}, file.PROGRAM)
    with pytest.raises(CheckpointError, match="hash"):
        Program.load(tmp_path / "hash.safetensors")
    facts["nodes"][1]["operation"] = "Softmax"
    write_tensors(tmp_path / "odd.safetensors", tensors, facts, file.PROGRAM)
    with pytest.raises(CheckpointError, match="unknown operation 'Softmax'"):
        Program.load(tmp_path / "odd.safetensors")


@pytest.mark.parametrize(
    ("x", "words"),
    [
        (torch.zeros(1, 1, 10, 10), r"whole pixels as integers \(got torch.float32\)"),
        (np.zeros((1, 1, 10, 10)), r"got float64"),
        (torch.full((1, 1, 10, 10), 256), r"pixels of 0\.\.255 \(got 256 at \(0, 0, 0, 0\)\)"),
        (torch.full((1, 1, 10, 10), -1), r"got -1"),
        (torch.zeros(1, 3, 10, 10, dtype=torch.uint8), r"size \(N, 1, 10, 10\) \(got \(1, 3, 10, 10\)\)"),
        (torch.zeros(1, 1, 10, 9, dtype=torch.uint8), r"got \(1, 1, 10, 9\)"),
        (torch.zeros(1, 1, 10, 10, dtype=torch.bool), r"got torch.bool"),
        ("image.png", r"got str"),
    ],
)
def test_run_never_rounds_or_wraps(program, x, words):
    with pytest.raises(InputError, match=words):
        program.run(x)


def test_no_frames_give_no_results(program):
    none = torch.zeros(0, *program.graph.input_shape, dtype=torch.uint8)
    for backend in ("numpy", "torch"):
        assert program.run(none, backend=backend).shape == (0, *program.graph.output.shape)


def test_the_table_names_every_layer_with_shape_and_range(program):
    lines = str(program).splitlines()
    assert lines[0].split()[:3] == ["layer", "operation", "shape"]
    low, high = program.graph.nodes[1].range
    assert any("jet 3x3" in line and "4x10x10" in line and f"{low}..{high}" in line for line in lines)
    assert program.hash[:16] in lines[-1]


def test_a_program_without_a_linear_layer_runs_at_another_size():
    net = nn.Sequential(JetConv2d(1, 4), nn.BatchNorm2d(4), Sign(), BinaryConv2d(4, 2)).eval()
    program = freeze(net, torch.zeros(1, 1, 8, 8))
    other = Program(program.graph.resized(13, 9), program.facts)
    x = torch.randint(0, 256, (2, 1, 13, 9))
    assert torch.equal(other.run(x), net(x.float()).long())


def test_a_fixed_size_and_a_small_map_are_refused_at_another_size(program):
    with pytest.raises(InputError, match=r"`8` has 54 input features"):
        program.graph.resized(12, 12)
    with pytest.raises(InputError, match=r"`4`.*at least 3 x 3"):
        program.graph.resized(5, 5)
    with pytest.raises(InputError, match="`height`"):
        program.graph.resized(0, 5)
    net = nn.Sequential(JetConv2d(1, 4), nn.BatchNorm2d(4), Sign(), nn.AdaptiveAvgPool2d(1), nn.BatchNorm2d(4), Sign())
    averaged = freeze(net.eval(), torch.zeros(1, 1, 8, 8))
    with pytest.raises(InputError, match="average"):
        averaged.graph.resized(9, 9)


@pytest.mark.parametrize("seed", range(25))
def test_random_networks_give_the_same_integers_in_torch_and_numpy_within_their_proven_ranges(seed):
    drawn = random_network(seed)
    program = freeze(drawn.net, drawn.pixels, drawn.scale, drawn.input_range)  # compares with float64
    torch_values = program.trace(drawn.pixels)
    from linnet.jet.reference.numpy_reference import trace_numpy

    for node, value in zip(program.graph.nodes, trace_numpy(program.graph, drawn.pixels.numpy()), strict=True):
        np.testing.assert_array_equal(value, torch_values[node.name].numpy(), err_msg=node.name)
        axes = tuple(k for k in range(value.ndim) if k != 1)
        assert (value.min(axes) >= node.low).all(), node.name
        assert (value.max(axes) <= node.high).all(), node.name
