"""Networks in files: what comes back, and what is refused in which words."""

import errno
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import safetensors.torch
import torch
from safetensors import safe_open
from torch import nn

from linnet.core import ChannelGraph, resize
from linnet.engine import load, save
from linnet.engine.files import tensor_bytes
from linnet.engine.files.tensor_file import Kind, write_tensors
from linnet.errors import CheckpointError, InputError

HERE = Path(__file__).parent


class Net(nn.Module):
    def __init__(self, outputs=3, width=8):
        super().__init__()
        self.conv = nn.Conv2d(3, width, 3, padding=1)
        self.norm = nn.BatchNorm2d(width)
        self.register_buffer("scale", torch.arange(1.0, width + 1), persistent=False)
        self.head = nn.Linear(width, outputs)

    def forward(self, x):
        x = self.norm(self.conv(x)) * self.scale.reshape(1, -1, 1, 1)
        return self.head(x.relu().mean((2, 3)))


X = torch.linspace(-1, 1, 2 * 3 * 16).reshape(2, 3, 4, 4)


def trained(**options):
    torch.manual_seed(0)
    net = Net(**options)
    net(X)  # moves the running statistics
    return net.eval()


def narrowed():
    net = trained()
    graph = ChannelGraph(net, X)
    return resize(net, graph, {"conv": [1, 0, 2, 1, 0, 1, 0, 3]})


def test_a_network_comes_back_to_the_bit(tmp_path):
    net = trained()
    fresh = Net()
    before = {name: value.clone() for name, value in fresh.state_dict().items()}
    found = load(fresh, save(net, tmp_path / "net.safetensors"))
    assert type(found) is Net
    assert found.training
    assert all(torch.equal(p, q) for p, q in zip(net.state_dict().values(), found.state_dict().values(), strict=True))
    assert torch.equal(found.eval()(X), net(X))
    assert all(torch.equal(before[name], value) for name, value in fresh.state_dict().items())
    assert not hasattr(found, "linnet_edit")


def test_a_resized_network_comes_back_from_a_fresh_full_one(tmp_path):
    net = narrowed()
    found = load(Net().eval(), save(net, tmp_path / "net.safetensors"))
    assert (found.conv.out_channels, found.norm.num_features, found.head.in_features) == (8, 8, 8)
    assert torch.equal(found(X), net(X))
    assert torch.equal(found.scale, torch.tensor([1.0, 3, 3, 4, 6, 8, 8, 8]))
    assert found.linnet_edit == net.linnet_edit
    again = save(found, tmp_path / "again.safetensors")
    assert again.read_bytes() == (tmp_path / "net.safetensors").read_bytes()


def test_edits_add_up_and_survive_deepcopy_and_the_state_dict_stays_plain(tmp_path):
    import copy

    net = narrowed()
    small = resize(net, ChannelGraph(net, X), {"conv": [1, 0, 1, 1, 0, 1, 1, 0]})
    small = copy.deepcopy(small)
    assert "linnet_edit" not in "".join(small.state_dict())
    found = load(Net().eval(), save(small, tmp_path / "net.safetensors"))
    assert torch.equal(found(X), small(X))
    assert found.linnet_edit.base["conv.weight"] == (8, 3, 3, 3)
    assert found.conv.weight.shape == (5, 3, 3, 3)


def test_tied_weights_are_stored_once_and_stay_tied(tmp_path):
    def tied():
        net = nn.Sequential(nn.Linear(64, 64, bias=False), nn.ReLU(), nn.Linear(64, 64, bias=False))
        net[2].weight = net[0].weight
        return net

    net = tied()
    path = save(net, tmp_path / "net.safetensors")
    assert path.stat().st_size < 1.1 * 64 * 64 * 4
    found = load(tied(), path)
    assert found[0].weight is found[2].weight
    assert torch.equal(found[0].weight, net[0].weight)
    loose = nn.Sequential(nn.Linear(64, 64, bias=False), nn.ReLU(), nn.Linear(64, 64, bias=False))
    assert torch.equal(load(loose, path)[2].weight, net[0].weight)
    with pytest.raises(CheckpointError, match=r"`2\.weight`.*`0\.weight`"):
        load(tied(), save(loose, path))


class Every(nn.Module):
    def __init__(self, dtype, shape):
        super().__init__()
        self.register_buffer("value", torch.zeros(shape, dtype=dtype))


DTYPES = [torch.float64, torch.float32, torch.float16, torch.bfloat16, torch.float8_e4m3fn, torch.float8_e5m2]
DTYPES += [torch.int8, torch.uint8, torch.int16, torch.int32, torch.int64, torch.bool]


@pytest.mark.parametrize("shape", [(), (0,), (3, 0, 2), (5,), (2, 3)])
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_every_type_and_size_comes_back(dtype, shape, tmp_path):
    net = Every(dtype, shape)
    net.value.copy_(torch.arange(net.value.numel()).reshape(shape))
    path = save(net, tmp_path / "net.safetensors")
    found = load(Every(dtype, shape), path).value
    assert found.dtype is dtype
    assert found.shape == shape
    assert torch.equal(found.double(), net.value.double())
    assert safetensors.torch.load_file(path)["value"].dtype is dtype


def test_a_file_is_little_larger_than_its_tensors(tmp_path):
    net = nn.Sequential(*(nn.Linear(512, 512) for _ in range(2)))
    size = sum(p.nbytes for p in net.parameters())
    assert save(net, tmp_path / "net.safetensors").stat().st_size <= 1.02 * size


def test_strides_wrappers_and_the_meta_device(tmp_path):
    net = trained().to(memory_format=torch.channels_last)
    path = save(nn.DataParallel(net), tmp_path / "net.safetensors")
    with torch.device("meta"):
        fresh = Net()
    found = load(fresh, path)
    assert found.conv.weight.device.type == "cpu"
    assert torch.equal(found.conv.weight, net.conv.weight)
    half = load(Net(), save(trained().half(), path))
    assert half.conv.weight.dtype is torch.half


@pytest.fixture
def path(tmp_path):
    return save(trained(), tmp_path / "net.safetensors")


def header(path):
    with safe_open(path, framework="pt") as file:
        return json.loads(file.metadata()["linnet"])


def rewritten(path, change=None, tensors=None):
    """The file with another header, the digest left as it was."""
    facts = header(path)
    if change is not None:
        change(facts)
    held = safetensors.torch.load_file(path) if tensors is None else tensors
    path.write_bytes(safetensors.torch.save(held, {"linnet": json.dumps(facts)}))


def flip(path):
    content = bytearray(path.read_bytes())
    content[-3] ^= 1
    path.write_bytes(content)


def renamed_tensor(path):
    held = safetensors.torch.load_file(path)
    held["neck.weight"] = held.pop("head.weight")
    rewritten(path, tensors=held)


BAD = [
    (lambda p: p.write_bytes(b""), "empty"),
    (lambda p: p.write_bytes(p.read_bytes()[:-100]), "damaged"),
    (lambda p: p.write_bytes(p.read_bytes()[:30]), "damaged"),
    (flip, "SHA-256"),
    (renamed_tensor, "SHA-256"),
    (lambda p: rewritten(p, lambda h: h["facts"].update({"class": "Other"})), "SHA-256"),
    (lambda p: rewritten(p, lambda h: h.update(version=99)), "version.*99"),
    (lambda p: torch.save({"a": torch.zeros(1)}, p), "pickle"),
    (lambda p: p.write_bytes(b"\x80\x04}."), "pickle"),
    (lambda p: (p.unlink(), p.mkdir()), "folder"),
    (lambda p: p.unlink(), "network"),
    (lambda p: safetensors.torch.save_file({"a": torch.zeros(1)}, p), "linnet"),
    (lambda p: write_tensors(p, {}, {}, Kind("nucleus detector")), "nucleus detector"),
]


@pytest.mark.parametrize(("spoil", "words"), BAD)
def test_a_bad_file_is_refused_in_its_own_words(spoil, words, path):
    spoil(path)
    fresh = Net()
    before = [value.clone() for value in fresh.state_dict().values()]
    with pytest.raises(CheckpointError, match=words) as caught:
        load(fresh, path)
    assert str(path) in str(caught.value)
    assert all(torch.equal(p, q) for p, q in zip(before, fresh.state_dict().values(), strict=True))


class Deeper(Net):
    def __init__(self):
        super().__init__()
        self.extra = nn.Linear(3, 3)


def test_another_network_is_refused(path, tmp_path):
    with pytest.raises(CheckpointError, match=r"Deeper.*strict_class=False"):
        load(Deeper(), path)
    with pytest.raises(CheckpointError, match=r"`extra\.weight`.*`extra\.bias`"):
        load(Deeper(), path, strict_class=False)
    deeper = save(Deeper(), tmp_path / "deeper.safetensors")
    with pytest.raises(CheckpointError, match=r"`extra\.weight`"):
        load(Net(), deeper, strict_class=False)
    with pytest.raises(CheckpointError, match=r"`head\.weight`.*\(3, 8\)"):
        load(Net(outputs=5), path)


def test_a_head_that_fits_by_chance_is_refused(tmp_path):
    net = narrowed()
    small = save(resize(net, ChannelGraph(net, X), {"conv": [1, 1, 1, 1, 0, 0, 0, 0]}), tmp_path / "small.safetensors")
    assert load(Net(), small).conv.weight.shape[0] == 4
    with pytest.raises(CheckpointError, match=r"`conv\.weight`.*\(8, 3, 3, 3\)"):
        load(Net(width=4), small)


def test_a_network_that_was_resized_is_no_fresh_one(path):
    with pytest.raises(CheckpointError, match=r"`model`.*Net"):
        load(narrowed(), path)


def valid(path, change):
    """The file with other facts and a digest that fits them: made by hand, not damaged."""
    facts = header(path)["facts"]
    held = safetensors.torch.load_file(path)
    change(facts, held)
    write_tensors(path, held, facts, Kind("network"))


def test_a_plan_that_does_not_fit_its_tensors_is_refused(tmp_path):
    net = narrowed()
    path = save(net, tmp_path / "net.safetensors")

    def unplanned(facts, held):
        held["head.bias"] = torch.zeros(7)

    valid(path, unplanned)
    with pytest.raises(CheckpointError, match=r"`head\.bias`.*\(7,\)"):
        load(Net(), path)
    for module, name, value in (("conv", "forward", 3), ("neck", "out_channels", 3), ("conv", "bias", "x")):
        save(net, path)
        valid(path, lambda facts, held, m=module, n=name, v=value: facts["plan"]["attributes"].update({m: {n: v}}))
        with pytest.raises(CheckpointError, match=f"`{module}.{name}`"):
            load(Net(), path)


class Stateful(nn.Linear):
    def get_extra_state(self):
        return {"calls": 1}

    def set_extra_state(self, state):
        pass


def test_state_that_is_no_tensor_is_refused(tmp_path):
    with pytest.raises(CheckpointError, match=r"`_extra_state`.*Stateful"):
        save(Stateful(2, 2), tmp_path / "net.safetensors")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("ask", "words"),
    [
        (lambda path: save({"a": X}, path), "`model`.*dict"),
        (lambda path: save(path, Net()), r"`path`.*save\(model, path\)"),
        (lambda path: load(path, Net()), r"`path`.*load\(model, path\)"),
        (lambda path: load(Net, path), "`model`.*type"),
        (lambda path: save(Net(), 3), "`path`.*int"),
    ],
)
def test_arguments_of_another_kind_are_refused_by_name(ask, words, path):
    with pytest.raises(InputError, match=words):
        ask(path)


def test_an_unwritable_place_and_a_full_disk_leave_the_old_file(path, tmp_path, monkeypatch):
    before = path.read_bytes()
    with pytest.raises(CheckpointError, match=r"missing(?!/)"):
        save(trained(), tmp_path / "missing" / "net.safetensors")

    def full(file, view):
        file.write(view[: len(view) // 2])
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(tensor_bytes, "_write_all", full)
    with pytest.raises(CheckpointError, match="No space left on device"):
        save(Net(), path)
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["net.safetensors"]


@pytest.mark.slow
def test_no_save_that_is_killed_loses_the_old_file(tmp_path):
    environment = {**os.environ, "PYTHONPATH": str(HERE.parents[2] / "src"), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, str(HERE / "killed_while_saving.py"), str(tmp_path)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr
    assert "whole each time [1.0, 2.0]" in done.stdout


def test_no_pickle_is_imported_by_the_package():
    source = HERE.parents[2] / "src" / "linnet"
    for file in source.rglob("*.py"):
        for line in file.read_text().splitlines():
            words = line.split()
            assert not (
                words[:1] in (["import"], ["from"]) and words[1].split(".")[0] in ("pickle", "dill", "joblib")
            ), file
            assert "torch.load(" not in line, file
