import math
import resource
import signal

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import save_file

from linnet.engine import load_checkpoint, load_latest, save_checkpoint
from linnet.engine.checkpoint.checkpoint import list_checkpoints, remove_checkpoints
from linnet.engine.checkpoint.flat_state import flatten, load_optimizer, unflatten
from linnet.engine.files import tensor_bytes
from linnet.errors import CheckpointError

FACTS = {"epoch": 3, "loss": 0.1 + 0.2, "names": ["a", "µ"], "none": None}


def tensors():
    shared = torch.arange(6.0).reshape(2, 3)
    return {
        "a": shared,
        "alias": shared,
        "part": shared[:, 1:],
        "turned": torch.arange(6).reshape(2, 3).T,
        "half": torch.tensor([1.5, -2.0], dtype=torch.bfloat16),
        "flag": torch.tensor(True),
        "empty": torch.zeros(0, 4),
        "nan": torch.tensor([math.nan, math.inf]),
        "weight": torch.nn.Parameter(torch.ones(2, dtype=torch.float64)),
    }


def assert_same(ours, theirs):
    assert ours.keys() == theirs.keys()
    for name, tensor in theirs.items():
        assert ours[name].dtype == tensor.dtype
        assert ours[name].shape == tensor.shape
        assert torch.equal(torch.nan_to_num(ours[name].detach(), 7), torch.nan_to_num(tensor.detach(), 7)), name


def test_every_kind_of_tensor_comes_back(tmp_path):
    path = save_checkpoint(tmp_path / "new", 12, tensors(), FACTS)
    assert path.name == "checkpoint-00000012.safetensors"
    found = load_latest(tmp_path / "new")
    assert (found.step, found.facts, found.path) == (12, FACTS, path)
    assert_same(found.tensors, tensors())


def test_only_the_newest_stay_and_other_files_are_never_touched(tmp_path):
    (tmp_path / "checkpoint-notes.txt").write_text("mine")
    for step in (5, 100_000_000, 20, 3):
        save_checkpoint(tmp_path, step, {}, {}, keep=2)
    assert [path.name for path in list_checkpoints(tmp_path)] == [
        "checkpoint-00000020.safetensors",
        "checkpoint-100000000.safetensors",
    ]
    remove_checkpoints(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["checkpoint-notes.txt"]


def test_nothing_there_is_none(tmp_path):
    assert load_latest(tmp_path) is None
    assert load_latest(tmp_path / "no") is None


@pytest.mark.parametrize(
    ("metadata", "match"),
    [
        (None, "linnet"),
        ({"linnet": "{"}, "damaged"),
        ({"linnet": "[]"}, "linnet"),
        ({"linnet": '{"kind": "nucleus detector"}'}, "nucleus detector"),
        ({"linnet": '{"kind": "checkpoint", "version": 2}'}, "version.*2"),
        ({"linnet": '{"kind": "checkpoint", "version": 1}'}, "SHA-256"),
    ],
)
def test_a_foreign_file_is_refused(tmp_path, metadata, match):
    path = tmp_path / "checkpoint-00000001.safetensors"
    save_file({"x": torch.zeros(2)}, path, metadata)
    with pytest.raises(CheckpointError, match=match) as error:
        load_checkpoint(path)
    assert path.name in str(error.value)


def test_a_renamed_missing_or_pickled_file_is_refused(tmp_path):
    path = save_checkpoint(tmp_path, 1, tensors(), FACTS)
    path = path.rename(tmp_path / "checkpoint-00000009.safetensors")
    with pytest.raises(CheckpointError, match=r"step.*1"):
        load_checkpoint(path)
    with pytest.raises(CheckpointError, match=r"no\.safetensors"):
        load_checkpoint(tmp_path / "no.safetensors")
    torch.save({"x": torch.zeros(2)}, path)
    with pytest.raises(CheckpointError, match="pickle"):
        load_checkpoint(path)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    path = save_checkpoint(tmp_path_factory.mktemp("whole"), 4, tensors(), FACTS)
    return path, path.read_bytes()


@settings(max_examples=100, deadline=None)
@given(place=st.floats(0, 1, exclude_max=True), bit=st.integers(0, 7), cut=st.booleans())
def test_no_changed_or_cut_file_is_ever_used(whole, place, bit, cut):
    path, content = whole[0], bytearray(whole[1])
    index = int(place * len(content))
    if cut:
        del content[index:]
    else:
        content[index] ^= 1 << bit
    path.write_bytes(content)
    try:
        found = load_checkpoint(path)
    except CheckpointError:
        return
    assert_same(found.tensors, tensors())  # a changed blank in the header changes nothing
    assert found.facts == FACTS


@settings(max_examples=50, deadline=None)
@given(content=st.binary(max_size=200))
def test_no_bytes_make_it_fail_otherwise(whole, content):
    path = whole[0].with_name("checkpoint-00000001.safetensors")
    path.write_bytes(content)
    with pytest.raises(CheckpointError):
        load_checkpoint(path)


def test_a_really_failing_write_leaves_the_one_before(tmp_path):
    save_checkpoint(tmp_path, 1, tensors(), FACTS)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (5000, limits[1]))
        with pytest.raises(CheckpointError, match="File too large"):
            save_checkpoint(tmp_path, 2, {"big": torch.zeros(10_000)}, {}, keep=1)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, handler)
    assert [path.name for path in tmp_path.iterdir()] == ["checkpoint-00000001.safetensors"]
    assert_same(load_latest(tmp_path).tensors, tensors())


def test_nested_state_comes_back_exactly():
    state = {
        "state": {0: {"step": torch.tensor(3.0), "momentum": torch.ones(2)}, 1: {}},
        "param_groups": [{"betas": (0.9, 0.999), "lr": 0.1, "flag": True, "none": None, "inf": -math.inf, "n": 3}],
        "text": "x",
    }
    tensors, skeleton = flatten(state, "optimizer")
    assert sorted(tensors) == ["optimizer.0", "optimizer.1"]
    back = unflatten(skeleton, tensors)
    assert back["param_groups"] == state["param_groups"]
    assert isinstance(back["param_groups"][0]["betas"], tuple)
    assert list(back["state"]) == [0, 1]
    assert back["state"][0]["momentum"] is tensors["optimizer.1"]
    with pytest.raises(CheckpointError, match=r"`optimizer`.*function"):
        flatten({"x": [len, tensors.get, lambda: 0][2]}, "optimizer")
    for wrong in ({"tensor": "no"}, {"what": 1}, {"map": [[1]]}, {"float": "x"}, {}):
        with pytest.raises(CheckpointError, match=r"[Cc]heckpoint"):
            unflatten(wrong, tensors)


def test_float32_moments_of_bfloat16_weights_keep_their_bits():
    def made():
        weight = torch.nn.Parameter(torch.ones(3, dtype=torch.bfloat16))
        optimizer = torch.optim.SGD([weight], lr=0.1, momentum=0.9)
        return weight, optimizer

    weight, optimizer = made()
    optimizer.state[weight]["momentum_buffer"] = torch.tensor([1.0 + 2**-20, 2.0, 3.0])
    _, other = made()
    load_optimizer(other, optimizer.state_dict())
    (state,) = other.state.values()
    assert torch.equal(state["momentum_buffer"], torch.tensor([1.0 + 2**-20, 2.0, 3.0]))
    with pytest.raises(CheckpointError, match="SGD"):
        load_optimizer(torch.optim.SGD([weight, torch.zeros(1)], lr=0.1), optimizer.state_dict())


def test_the_digest_covers_names_types_shapes_and_facts():
    base = {"a": torch.zeros(2, 3)}
    digests = {
        tensor_bytes.digest_of_tensors(tensors, facts)
        for tensors, facts in [
            (base, {}),
            ({"b": torch.zeros(2, 3)}, {}),
            ({"a": torch.zeros(3, 2)}, {}),
            ({"a": torch.zeros(2, 3, dtype=torch.int32)}, {}),
            ({"a": torch.full((2, 3), -0.0)}, {}),
            (base, {"x": 1}),
        ]
    }
    assert len(digests) == 6
