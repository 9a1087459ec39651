import json
import os
import struct

import numpy as np
import pytest
import safetensors.torch
import torch

from linnet.engine.files.tensor_file import Kind, digest_of, read_tensors, write_tensors
from linnet.errors import CheckpointError

KIND = Kind("test file", 3)
TENSORS = {"a": torch.arange(6.0).reshape(2, 3), "b.c": torch.tensor([1, -2])}


@pytest.fixture
def path(tmp_path):
    return write_tensors(tmp_path / "x.safetensors", TENSORS, {"lr": 0.1, "names": ["é", None]}, KIND)


def test_tensors_and_facts_come_back(path):
    tensors, facts = read_tensors(path, KIND)
    assert facts == {"lr": 0.1, "names": ["é", None]}
    assert tensors.keys() == TENSORS.keys()
    assert all(torch.equal(tensors[k], v) for k, v in TENSORS.items())


@pytest.mark.parametrize(
    "dtype",
    [torch.bool, torch.uint8, torch.int16, torch.int64, torch.float16, torch.bfloat16, torch.float32, torch.float64],
)
def test_every_type_keeps_its_bits(tmp_path, dtype):
    tensors = {"full": torch.randn(3, 4).mul(9).to(dtype), "scalar": torch.tensor(1).to(dtype)}
    tensors |= {"none": torch.zeros(0, 3, dtype=dtype), "turned": torch.randn(4, 3).to(dtype).T}
    back, _ = read_tensors(write_tensors(tmp_path / "x", tensors, {}, KIND), KIND)
    for name, tensor in tensors.items():
        assert back[name].dtype == dtype
        assert torch.equal(back[name], tensor)


def test_nan_and_signed_zero_keep_their_bits(tmp_path):
    tensor = torch.tensor([float("nan"), float("inf"), -0.0])
    back, _ = read_tensors(write_tensors(tmp_path / "x", {"a": tensor}, {}, KIND), KIND)
    assert back["a"].numpy().tobytes() == tensor.numpy().tobytes()


def test_one_tensor_under_two_names_is_stored_once(tmp_path):
    shared = torch.randn(1000)
    path = write_tensors(tmp_path / "x", {"a": shared, "b": shared, "part": shared[:500]}, {}, KIND)
    back, _ = read_tensors(path, KIND)
    assert back["a"].data_ptr() == back["b"].data_ptr()
    assert torch.equal(back["part"], shared[:500])
    assert path.stat().st_size < 7000


def test_the_same_content_gives_the_same_bytes(tmp_path, path):
    again = write_tensors(tmp_path / "y", dict(reversed(TENSORS.items())), {"names": ["é", None], "lr": 0.1}, KIND)
    assert read_tensors(again, KIND)[1] == read_tensors(path, KIND)[1]
    same = write_tensors(tmp_path / "z", TENSORS, {"lr": 0.1, "names": ["é", None]}, KIND)
    assert digest_of(same) == digest_of(path)


def test_facts_with_numbers_as_keys_are_read_again_as_json_has_them(tmp_path):
    path = write_tensors(tmp_path / "x", {}, {"groups": {9: 1, 10: 2}, "pair": (1, 2)}, KIND)
    assert read_tensors(path, KIND)[1] == {"groups": {"9": 1, "10": 2}, "pair": [1, 2]}


def test_the_given_tensors_are_copied(tmp_path):
    tensor = torch.zeros(3, requires_grad=True)
    back, _ = read_tensors(write_tensors(tmp_path / "x", {"a": tensor}, {}, KIND), KIND)
    assert not back["a"].requires_grad
    back["a"][0] = 5.0  # not a view of a mapped file
    assert read_tensors(tmp_path / "x", KIND)[0]["a"][0] == 0


def pickled(path):
    torch.save({"a": torch.zeros(2)}, path)


BAD = {
    "missing": (lambda p: p.unlink(), r"test file"),
    "a folder": (lambda p: (p.unlink(), p.mkdir()), r"folder"),
    "empty": (lambda p: p.write_bytes(b""), r"empty"),
    "text": (lambda p: p.write_text("y,x\n1,2\n"), r"damaged"),
    "a pickle": (pickled, r"pickle"),
    "a bare pickle": (lambda p: p.write_bytes(b"\x80\x04N."), r"pickle"),
    "foreign safetensors": (
        lambda p: safetensors.torch.save_file({"a": torch.zeros(2)}, p),
        r"linnet",
    ),
    "foreign metadata": (
        lambda p: safetensors.torch.save_file({"a": torch.zeros(2)}, p, {"linnet": "[1]"}),
        r"linnet",
    ),
    "broken metadata": (
        lambda p: safetensors.torch.save_file({"a": torch.zeros(2)}, p, {"linnet": "{"}),
        r"damaged",
    ),
    "another kind": (
        lambda p: write_tensors(p, {}, {}, Kind("checkpoint", 1)),
        r"a test file \(got a checkpoint\)",
    ),
    "a kind with a vowel": (lambda p: write_tensors(p, {}, {}, Kind("ensemble", 1)), r"\(got an ensemble\)"),
    "a kind without a name": (lambda p: write_tensors(p, {}, {}, Kind("", 1)), r"a test file \(got a \)"),
    "a newer version": (
        lambda p: write_tensors(p, {}, {}, Kind("test file", 4)),
        r"version.*4",
    ),
    "a giant header": (lambda p: p.write_bytes(struct.pack("<Q", 2**62) + b"{}"), r"damaged"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_file_is_refused_with_its_path(path, name):
    spoil, message = BAD[name]
    spoil(path)
    with pytest.raises(CheckpointError, match=message) as caught:
        read_tensors(path, KIND)
    assert str(path) in str(caught.value)


def test_every_cut_is_noticed(path):
    whole = path.read_bytes()
    for length in [1, 7, 8, 9, len(whole) // 3, len(whole) // 2, len(whole) - 1]:
        path.write_bytes(whole[:length])
        with pytest.raises(CheckpointError, match="damaged"):
            read_tensors(path, KIND)


def test_every_flipped_bit_of_content_is_noticed(path):
    whole = path.read_bytes()
    rng = np.random.default_rng(0)
    header = 8 + struct.unpack("<Q", whole[:8])[0]
    for at in [*rng.integers(0, header, 60), *range(header, len(whole))]:
        changed = bytearray(whole)
        changed[at] ^= 1 << rng.integers(8)
        path.write_bytes(changed)
        try:
            tensors, facts = read_tensors(path, KIND)
        except CheckpointError:
            continue
        # Only what means the same may pass: padding, or another spelling of the same JSON.
        assert at < header
        assert facts == {"lr": 0.1, "names": ["é", None]}
        assert all(torch.equal(tensors[k], v) for k, v in TENSORS.items())


def test_changed_facts_are_noticed(tmp_path, path):
    """The digest covers the facts too, not the tensors alone."""
    whole = path.read_bytes()
    path.write_bytes(whole.replace(b"0.1", b"0.2"))
    assert whole != path.read_bytes()
    with pytest.raises(CheckpointError, match="SHA-256"):
        read_tensors(path, KIND)


def test_what_was_there_stays_when_writing_fails(path, monkeypatch):
    before = path.read_bytes()

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(CheckpointError, match="No space left on device"):
        write_tensors(path, {"a": torch.zeros(3)}, {}, KIND)
    assert path.read_bytes() == before
    assert [p.name for p in path.parent.iterdir()] == [path.name]


def test_a_missing_folder_is_an_error(tmp_path):
    with pytest.raises(CheckpointError, match=r"nowhere(?!/)"):
        write_tensors(tmp_path / "nowhere" / "x", {}, {}, KIND)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="pipes with names are for Unix")
def test_what_is_no_regular_file_is_refused_and_stays(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "folder").mkdir()
    for name, what in (("pipe", "a device, a socket or a pipe"), ("folder", "a folder")):
        with pytest.raises(CheckpointError, match=f"/{name}.*{what}") as caught:
            write_tensors(tmp_path / name, {"a": torch.zeros(2)}, {}, KIND)
        assert "Make room" not in str(caught.value)
    assert (tmp_path / "pipe").is_fifo()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["folder", "pipe"]


def test_the_header_is_json_anyone_can_read(path):
    with safetensors.safe_open(path, framework="np") as file:
        header = json.loads(file.metadata()["linnet"])
    assert (header["kind"], header["version"], header["facts"]["lr"]) == ("test file", 3, 0.1)
    assert len(header["sha256"]) == 64
