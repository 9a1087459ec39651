import math
import threading

import numpy as np
import pytest
import torch

from linnet.data import Photometric
from linnet.data.augmentation.artefacts import Artefacts
from linnet.errors import InputError
from linnet.nuclei.detector.brightness import OUTSIDE
from linnet.nuclei.training import crops
from linnet.nuclei.training.crops import Annotated, CropLoader
from linnet.nuclei.training.targets import build_target


def scene(rng_seed=0, shape=(120, 150), n=25, **options):
    """Gaussian spots at sub-pixel centres."""
    rng = np.random.default_rng(rng_seed)
    points = rng.uniform(0, np.array(shape) - 1, (n, 2))
    y, x = np.mgrid[: shape[0], : shape[1]]
    light = sum(np.exp(-((y - a) ** 2 + (x - b) ** 2) / (2 * 2.0**2)) for a, b in points)
    return Annotated((np.clip(light, 0, 1) * 255).astype(np.uint8), points, **options)


def assert_same_batch(a, b):
    assert a.keys() == b.keys() == {"image", "map", "offset", "weight"}
    for key in a:
        assert torch.equal(a[key], b[key]), key


@pytest.fixture(scope="module")
def images():
    return [scene(k, group="ab"[k % 2]) for k in range(3)]


def test_a_batch_is_a_pure_function_of_seed_epoch_and_place(images):
    loader = CropLoader(images, 2, batches=4, batch_size=3, side=48, rng_seed=5)
    assert len(loader) == 4
    epoch = list(loader.epoch(1))
    torch.manual_seed(99)
    np.random.default_rng(99)
    later = list(CropLoader(images, 2, batches=4, batch_size=3, side=48, rng_seed=5).epoch(1, start=2))
    assert len(epoch) == 4
    assert len(later) == 2
    for a, b in zip(epoch[2:], later, strict=True):
        assert_same_batch(a, b)
    firsts = [epoch[0], epoch[1], next(loader.epoch(0)), next(CropLoader(images, 2, side=48, batch_size=3).epoch(1))]
    for i, a in enumerate(firsts):
        for b in firsts[:i]:
            assert not torch.equal(a["image"], b["image"])
    assert list(loader.epoch(0, start=4)) == []


def test_all_processes_together_draw_the_batch_of_one(images):
    loader = CropLoader(images, 2, batches=1, batch_size=4, side=48)
    (alone,) = loader.epoch(3)
    for world in (2, 4):
        parts = [next(loader.epoch(3, rank=rank, world=world)) for rank in range(world)]
        for rank, part in enumerate(parts):
            assert_same_batch(part, {key: value[rank::world] for key, value in alone.items()})


def test_the_global_random_state_is_left_alone(images):
    states = torch.get_rng_state(), np.random.get_state()[1].copy()  # noqa: NPY002
    list(CropLoader(images, 2, batches=2, batch_size=2, side=48).epoch(0))
    assert torch.equal(torch.get_rng_state(), states[0])
    assert np.array_equal(np.random.get_state()[1], states[1])  # noqa: NPY002


def test_an_epoch_left_early_ends(images):
    before = set(threading.enumerate())
    epoch = CropLoader(images, 2, batches=50, batch_size=1, side=48).epoch(0)
    next(epoch)
    assert set(threading.enumerate()) > before  # the next batch is being made
    epoch.close()
    assert set(threading.enumerate()) <= before


def middles_of_spots(image, near, reach=4):
    """Centre of mass of the light round each place; (n, 2)."""
    found = []
    for y, x in np.round(near).astype(int):
        window = image[y - reach : y + reach + 1, x - reach : x + reach + 1].clip(0.02) - 0.02
        at = np.mgrid[y - reach : y + reach + 1, x - reach : x + reach + 1]
        found.append((window * at).sum((1, 2)) / window.sum())
    return np.array(found)


@pytest.mark.parametrize("seed", range(4))
def test_spots_lie_where_the_target_says(seed):
    """Pixels and points go through one transformation: turned, mirrored, magnified crops keep them together."""
    rng = np.random.default_rng(seed)
    points = np.stack(np.mgrid[15:200:22, 15:200:22], -1).reshape(-1, 2) + rng.uniform(-1, 1, (81, 2))
    y, x = np.mgrid[:210, :210]
    light = sum(np.exp(-((y - a) ** 2 + (x - b) ** 2) / (2 * 1.5**2)) for a, b in points)
    loader = CropLoader(
        [Annotated(light, points)], 1, batches=1, batch_size=4, side=96, margin=0, photometric=None, rng_seed=seed
    )
    (batch,) = loader.epoch(0)
    checked = 0
    for image, height, offset in zip(batch["image"], batch["map"], batch["offset"], strict=True):
        peaks = np.argwhere((height[0] > 0.75).numpy())
        peaks = peaks[((peaks > 10) & (peaks < 85)).all(1)]
        picture = image[0].numpy()
        peaks = np.array([p for p in peaks if (picture[p[0] - 8 : p[0] + 9, p[1] - 8 : p[1] + 9] > OUTSIDE).all()])
        if len(peaks):
            centres = peaks + offset[:, peaks[:, 0], peaks[:, 1]].numpy().T
            gap = np.linalg.norm(middles_of_spots(picture, centres) - centres, axis=1)
            assert gap.max() < 0.15  # interpolation and the window move the mass a little; half a pixel would be 0.5
            checked += len(peaks)
    assert checked > 20


@pytest.mark.parametrize("target", ["proximity", "repel"])
@pytest.mark.parametrize("stride", [1, 2, 4])
def test_the_target_is_that_of_all_transformed_points(monkeypatch, images, target, stride):
    """Points outside the crop shape it too."""
    calls = []

    def watched(self, points, d):
        result = of_class(self, points, d)
        calls.append((points, d, result))
        return result

    of_class = CropLoader._target
    monkeypatch.setattr(CropLoader, "_target", watched)
    loader = CropLoader(images, stride, batches=2, batch_size=4, side=48, target=target)
    batches = list(loader.epoch(0))
    assert len(calls) == 8
    outside = 0
    for (points, d, (height, offset)), k in zip(calls, range(8), strict=True):
        cells = (48 // stride, 48 // stride)
        expected = build_target(points, cells, stride, d, target=target)
        np.testing.assert_allclose(height, expected[0], atol=1e-12)
        np.testing.assert_allclose(offset, expected[1], atol=1e-12)
        np.testing.assert_allclose(batches[k // 4]["map"][k % 4, 0], height, atol=1e-6)
        inner = points[((points >= 0) & (points < 48)).all(1)]
        outside += not np.array_equal(build_target(inner, cells, stride, d, target=target)[0], height)
    assert outside > 0  # else the test would show nothing


def test_weights_leave_out_the_margin_the_outside_and_what_is_not_annotated():
    ignore = np.zeros((40, 40), np.uint8)
    ignore[:, 20:] = 255  # not boolean on purpose
    image = Annotated(np.random.default_rng(0).random((40, 40)), np.zeros((0, 2)), ignore=ignore)
    loader = CropLoader([image], 2, batches=3, batch_size=4, side=64, margin=6, photometric=None, scale=0.0)
    shares = []
    for batch in loader.epoch(0):
        assert not batch["map"].any()
        weight, picture = batch["weight"][:, 0], batch["image"][:, 0] > OUTSIDE
        border = torch.ones(32, 32, dtype=torch.bool)
        border[3:-3, 3:-3] = False
        assert not weight[:, border].any()
        inside = picture.float().unfold(1, 2, 2).unfold(2, 2, 2).mean((3, 4))
        assert not weight[inside < 0.5].any()
        shares += (weight.sum((1, 2)) / (inside > 0.5)[:, 3:-3, 3:-3].sum((1, 2))).tolist()
    assert 0.3 < np.mean(shares) < 0.7  # half of the picture is annotated
    assert set(weight.unique().tolist()) == {0.0, 1.0}


def test_outside_the_picture_is_darker_than_anything():
    image = Annotated(np.random.default_rng(0).random((30, 30)), np.zeros((0, 2)))
    (batch,) = CropLoader([image], 2, batches=1, batch_size=2, side=64).epoch(0)
    corners = batch["image"][:, :, [0, 0, -1, -1], [0, -1, 0, -1]]
    assert (corners == OUTSIDE).all()


def test_kinds_are_drawn_by_their_number_to_the_power_of_balance():
    images = [Annotated(np.eye(4), np.zeros((0, 2)), group="many")] * 9
    images += [Annotated(np.eye(4), np.zeros((0, 2)), group="few")]
    rng = np.random.default_rng(0)
    for balance, share in [(1.0, 0.1), (0.5, 0.25), (0.0, 0.5)]:
        loader = CropLoader(images, 1, side=48, balance=balance)
        drawn = np.array([loader._draw_image(rng) for _ in range(2000)])
        assert (drawn == 9).mean() == pytest.approx(share, abs=4 * (share * (1 - share) / 2000) ** 0.5)
        assert set(drawn.tolist()) == set(range(10))


def test_colours_survive_and_gray_fills_three_channels(images):
    (batch,) = CropLoader(images, 2, batches=1, batch_size=2, side=48, photometric=None).epoch(0)
    assert torch.equal(batch["image"][:, 0], batch["image"][:, 2])
    colour = Annotated(np.random.default_rng(0).random((90, 90, 3)), np.zeros((0, 2)))
    (batch,) = CropLoader([colour], 2, batches=1, batch_size=2, side=48, photometric=None).epoch(0)
    assert not torch.equal(batch["image"][:, 0], batch["image"][:, 2])


def test_photometric_changes_leave_the_targets(images):
    plain, changed = (
        next(CropLoader(images, 2, batches=1, batch_size=3, side=48, photometric=p).epoch(0))
        for p in (None, Photometric())
    )
    for key in ("map", "offset", "weight"):
        assert torch.equal(plain[key], changed[key])
    assert not torch.equal(plain["image"], changed["image"])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"images": []}, "images"),
        ({"batches": 0}, "`batches`.*0"),
        ({"batch_size": 0}, r"`batch_size`.*\b0\b"),
        ({"side": 50, "stride": 4}, "`side`.*50"),
        ({"side": 32}, "`side`.*32"),
    ],
)
def test_bad_options_are_refused(images, options, message):
    with pytest.raises(InputError, match=message):
        CropLoader(**{"images": images, "stride": 2, **options})


def test_a_batch_that_cannot_be_shared_is_refused(images):
    with pytest.raises(InputError, match=r"`batch_size`.*4"):
        CropLoader(images, 2, batch_size=4).epoch(0, rank=0, world=3)


def test_a_mask_of_another_size_is_refused():
    with pytest.raises(InputError, match=r"`ignore`.*\(5, 6\)"):
        Annotated(np.eye(6)[:, :5], np.zeros((0, 2)), ignore=np.zeros((5, 6), bool))


def test_turns_are_rotations_and_mirrors():
    rng = np.random.default_rng(0)
    turns = np.array([crops._turn(rng) for _ in range(400)])
    np.testing.assert_allclose(turns @ turns.transpose(0, 2, 1), np.broadcast_to(np.eye(2), turns.shape), atol=1e-12)
    mirrored = np.linalg.det(turns) < 0
    assert 0.4 < mirrored.mean() < 0.6
    right = (np.abs(turns).min((1, 2)) < 1e-9).mean()
    assert 0.4 < right < 0.6


def test_sizes_follow_the_magnification_and_need_one_number_a_point():
    images = [scene(diameters=np.full(25, 12.0))]
    options = {"batches": 1, "batch_size": 2, "side": 48, "photometric": None}
    (plain,) = CropLoader(images, 2, **options, scale=0).epoch(0)
    (sized,) = CropLoader(images, 2, **options, scale=0, sizes=True).epoch(0)
    assert torch.equal(plain["map"], sized["map"])
    size = sized["diameter"]
    assert size.shape == sized["map"].shape
    assert torch.equal(size.isfinite(), sized["map"] > 0)
    torch.testing.assert_close(size[size.isfinite()], torch.full_like(size[size.isfinite()], math.log(12 / 24)))
    (unknown,) = CropLoader([scene()], 2, **options, sizes=True).epoch(0)
    assert unknown["diameter"].isnan().all()
    with pytest.raises(InputError, match=r"`diameters`.*25"):
        scene(diameters=np.ones(3))


def test_faults_change_the_picture_and_not_its_truth(images):
    options = {"batches": 1, "batch_size": 3, "side": 48, "photometric": None}
    (clean,) = CropLoader(images, 2, **options).epoch(0)
    (spoilt,) = CropLoader(images, 2, **options, artefacts=Artefacts(jpeg=1.0)).epoch(0)
    assert not torch.equal(clean["image"], spoilt["image"])
    assert torch.equal(clean["map"], spoilt["map"])
    assert torch.equal(clean["image"] == OUTSIDE, spoilt["image"] == OUTSIDE)
