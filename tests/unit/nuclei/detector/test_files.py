import hashlib
import struct

import numpy as np
import pytest
import torch

from linnet.engine.files.tensor_file import Kind, read_tensors, write_tensors
from linnet.errors import CheckpointError, InputError
from linnet.nuclei import load
from linnet.nuclei.detector.detector import Detector, Thresholds
from linnet.nuclei.detector.files import file_digest, new_network
from tests.unit.nuclei.networks import lively

KIND = Kind("nucleus detector", 1)


@pytest.fixture(scope="module")
def detector():
    return Detector(lively("small"), "small", Thresholds(0.42, 3, 5.0), 20.0, {"data": "none", "f1": 0.5})


@pytest.fixture
def path(detector, tmp_path):
    return detector.save(tmp_path / "mine.safetensors")


def rewrite(path, **changes):
    """The same file with other facts, and a digest that fits."""
    tensors, facts = read_tensors(path, KIND)
    write_tensors(path, tensors, {**facts, **changes}, KIND)


def test_a_saved_detector_is_the_same_to_the_bit(detector, path):
    again = load(path)
    assert (again.preset, again.thresholds, again.reference_diameter_px, again.card) == (
        "small",
        Thresholds(0.42, 3, 5.0),
        20.0,
        {"data": "none", "f1": 0.5},
    )
    image = np.random.default_rng(0).integers(0, 256, (60, 70), dtype=np.uint8)
    one, two = detector(image, scale=1), again(image, scale=1)
    assert len(one) > 5
    assert one.points.tobytes() == two.points.tobytes()
    assert one.score.tobytes() == two.score.tobytes()
    assert load(str(path)).save(path.with_name("b")).read_bytes() == path.read_bytes()


def test_what_is_known_of_sizes_is_kept_and_files_without_it_load(detector, path):
    assert (load(path).pixel_size_um, load(path).spacing_px) == (None, None)
    sized = Detector(detector.network, pixel_size_um=0.25, spacing_px=31.5).save(path)
    assert (load(sized).pixel_size_um, load(sized).spacing_px) == (0.25, 31.5)


def test_a_network_that_regresses_diameters_is_known_by_its_head(tmp_path):
    network = new_network("small", sizes=True)
    again = load(Detector(network).save(tmp_path / "sized"))
    assert again.network.head.out_channels == 16
    assert load("default").network.head.out_channels in (12, 16)
    with pytest.raises(InputError, match=r"`sizes`.*'paper'"):
        new_network("paper", sizes=True)


def test_the_paper_preset_is_kept_too(tmp_path):
    path = Detector(new_network("paper"), "paper").save(tmp_path / "p")
    assert type(load(path).network).__name__ == "ResidualUNet"


BAD = {
    "missing": (lambda p: p.unlink(), r"nucleus detector"),
    "a folder": (lambda p: (p.unlink(), p.mkdir()), r"folder"),
    "empty": (lambda p: p.write_bytes(b""), r"empty"),
    "cut": (lambda p: p.write_bytes(p.read_bytes()[:-1]), r"damaged"),
    "a flipped byte": (
        lambda p: p.write_bytes(p.read_bytes()[:-5] + bytes([p.read_bytes()[-5] ^ 1]) + p.read_bytes()[-4:]),
        r"SHA-256",
    ),
    "a pickle": (lambda p: torch.save({}, p), r"pickle"),
    "another kind": (
        lambda p: write_tensors(p, {}, {}, Kind("checkpoint")),
        r"checkpoint",
    ),
    "a newer version": (
        lambda p: write_tensors(p, {}, {}, Kind("nucleus detector", 2)),
        r"version.*2",
    ),
    "the other preset": (
        lambda p: rewrite(p, preset="paper"),
        r"'paper'.*"
        r"`\w+",
    ),
    "an unknown preset": (
        lambda p: rewrite(p, preset="huge"),
        r"`preset`.*'huge'",
    ),
    "thresholds out of range": (lambda p: rewrite(p, thresholds={"score": 2.0}), r"threshold.*2\.0"),
    "unknown thresholds": (lambda p: rewrite(p, thresholds={"height": 2.0}), r"'height'"),
    "no preset": (lambda p: write_tensors(p, {}, {}, KIND), r"preset.*None"),
    "a wider network": (
        lambda p: write_tensors(p, {**(t := read_tensors(p, KIND))[0], "head.bias": torch.zeros(5)}, t[1], KIND),
        r"`head\.bias`",
    ),
    "a header too long": (lambda p: p.write_bytes(struct.pack("<Q", 1 << 40)), r"damaged"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_file_is_refused_with_its_path(path, name):
    spoil, message = BAD[name]
    spoil(path)
    with pytest.raises(CheckpointError, match=message) as caught:
        load(path)
    assert str(path) in str(caught.value)


def test_an_unknown_preset_is_answered_with_the_known_ones():
    with pytest.raises(InputError, match=r"`preset`.*paper"):
        new_network("large")


def test_a_card_that_is_no_json_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"JSON.*Tensor"):
        Detector(new_network("small"), card={"f1": torch.zeros(1)}).save(tmp_path / "x")
    assert list(tmp_path.iterdir()) == []


def test_the_digest_is_that_of_the_file(tmp_path):
    path = tmp_path / "mine.safetensors"
    load("default").save(path)
    assert file_digest(path) == hashlib.sha256(path.read_bytes()).hexdigest()
