"""The file is safetensors' own, byte for byte, and what is read is what was written."""

import json

import pytest
import safetensors.torch
import torch

from linnet.engine.files import tensor_bytes

TYPES = [
    torch.bool, torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64, torch.float16, torch.bfloat16,
    torch.float32, torch.float64, torch.float8_e4m3fn, torch.float8_e5m2, torch.uint16, torch.uint32, torch.uint64,
    torch.complex64,
]  # fmt: skip


def made():
    torch.manual_seed(0)
    tensors = {
        f"layer {n}.{name}": torch.randint(0, 2, (2, n % 5 + 1)).to(dtype)
        for n, dtype in enumerate(TYPES)
        for name in ("weight", "ä")
    }
    return {**tensors, "scalar": torch.tensor(3.5), "none": torch.zeros(0, 4), "a": torch.randn(3, 3)}


def written(path, tensors):
    tensor_bytes.write(path, tensors, {"facts": {"x": [1, "é"]}})
    return path.read_bytes()


def test_the_bytes_are_those_of_safetensors(tmp_path):
    tensors = made()
    about = {"facts": {"x": [1, "é"]}, "sha256": tensor_bytes.digest_of_tensors(tensors, {"facts": {"x": [1, "é"]}})}
    expected = safetensors.torch.save(tensors, {"linnet": json.dumps(about)})
    assert written(tmp_path / "own", tensors) == expected


def test_every_type_comes_back_to_the_bit_with_the_digest_of_its_bytes(tmp_path):
    tensors = made()
    written(tmp_path / "own", tensors)
    back, about, digest = tensor_bytes.read(tmp_path / "own", lambda header: {"facts": header["facts"]})
    assert back.keys() == tensors.keys()
    for name, tensor in tensors.items():
        assert (back[name].dtype, back[name].shape) == (tensor.dtype, tensor.shape)
        assert bytes(tensor_bytes.memory(back[name])) == bytes(tensor_bytes.memory(tensor))
        assert back[name].untyped_storage().nbytes() == tensor.nbytes  # each in memory of its own
    assert about["sha256"] == digest == tensor_bytes.digest_of_tensors(tensors, {"facts": about["facts"]})


def test_a_flipped_bit_changes_the_digest(tmp_path):
    content = bytearray(written(tmp_path / "own", {"a": torch.zeros(4)}))
    content[-1] ^= 1
    (tmp_path / "own").write_bytes(content)
    _, about, digest = tensor_bytes.read(tmp_path / "own", lambda header: {"facts": header["facts"]})
    assert about["sha256"] != digest


def test_a_file_that_is_cut_while_it_is_read_is_an_error(tmp_path):
    content = written(tmp_path / "own", {"a": torch.zeros(4)})
    (tmp_path / "own").write_bytes(content[:-3])
    with pytest.raises(ValueError, match="ends too early"):
        tensor_bytes.read(tmp_path / "own", lambda header: {"facts": header["facts"]})
