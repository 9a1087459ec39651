"""The shipped flag: what is no field of nuclei is never "ok", and known kinds of picture are seldom flagged."""

import csv
import io

import numpy as np
import pytest
from PIL import Image
from scipy.ndimage import gaussian_filter

from linnet.data import data_root
from linnet.errors import LinnetError
from linnet.nuclei import load
from linnet.nuclei.read.images import read_image


@pytest.fixture(scope="module")
def detector():
    return load()


def small(picture, side=400):
    shown = Image.fromarray(picture)
    shown.thumbnail((side, side))
    return np.asarray(shown)


def assert_flagged(found):
    """The result is flagged, and says why in words."""
    assert found.flag in ("look", "out_of_domain"), f"{found.count.n} nuclei, score {found.ood_score}"
    assert found.flag_reasons
    assert all(len(reason.split()) > 3 for reason in found.flag_reasons)


PHOTOGRAPHS = ["astronaut", "camera", "chelsea", "coffee", "rocket", "moon", "retina", "hubble_deep_field"]
OTHERS = ["text", "page", "brick", "grass", "gravel", "clock", "logo", "colorwheel"]


@pytest.mark.parametrize("name", [*PHOTOGRAPHS, *OTHERS])
def test_photographs_text_and_textures_are_never_ok(detector, name):
    from skimage import data

    try:
        picture = getattr(data, name)()
    except (AttributeError, ConnectionError, OSError, ModuleNotFoundError):
        pytest.skip(f"scikit-image's wheel doesn't carry {name}")
    assert_flagged(detector(small(picture[..., :3] if picture.ndim == 3 else picture)))


@pytest.mark.parametrize("name", ["china.jpg", "flower.jpg"])
def test_photographs_of_another_wheel_are_never_ok(detector, name):
    datasets = pytest.importorskip("sklearn.datasets", reason="scikit-learn is not installed")
    assert_flagged(detector(small(datasets.load_sample_image(name))))


def jpeg(picture, quality):
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, "JPEG", quality=quality)
    return np.asarray(Image.open(buffer))


def fields():
    rng = np.random.default_rng(0)
    yield "white noise", rng.normal(100, 10, (256, 256)).clip(0, 255).astype(np.uint8)
    yield "coloured noise", rng.integers(0, 256, (256, 256, 3), dtype=np.uint8)
    yield "camera noise, 5 photons", (rng.poisson(5, (256, 256)) + rng.normal(100, 3, (256, 256))).astype(np.uint16)
    yield "camera noise, 50 photons", (rng.poisson(50, (256, 256)) + rng.normal(100, 3, (256, 256))).astype(np.uint16)
    yield "slow waves", gaussian_filter(rng.normal(0, 1, (256, 256)), 8)
    white = rng.normal(240, 2, (256, 256, 3)).clip(0, 255).astype(np.uint8)
    for quality in (60, 75, 90):
        yield f"white glass, JPEG {quality}", jpeg(white, quality)
    y, x = np.mgrid[:256, :256]
    yield "stripes", np.sin(x / 5.0)
    yield "squares", ((x // 16 + y // 16) % 2 * 200).astype(np.uint8)
    yield "a slope", (x + y).astype(np.uint16)
    yield "constant", np.full((256, 256), 7, np.uint8)
    yield "black", np.zeros((256, 256, 3), np.uint8)


@pytest.mark.parametrize(("name", "picture"), list(fields()), ids=lambda value: value if isinstance(value, str) else "")
def test_empty_fields_noise_and_patterns_are_never_ok(detector, name, picture):
    assert_flagged(detector(picture))


@pytest.mark.slow
def test_pictures_of_the_known_kind_are_flagged_in_at_most_5_percent(detector):
    """On the test pictures, which the detector never saw; each picture counts once, whatever crops it has."""
    try:
        root = data_root() / "nuclei_dsb2018"
        rows = [
            r
            for r in csv.DictReader((root / "meta.csv").read_text(encoding="utf-8").splitlines())
            if r["split"] == "test"
        ]
    except (LinnetError, OSError) as error:
        pytest.skip(f"the data isn't at hand ({error})")
    flagged: dict[str, list[bool]] = {}
    for row in rows:
        found = detector(read_image(root / "images" / f"{row['image_id']}.png").pixels)
        flagged.setdefault(row["mosaic_id"], []).append(found.flag != "ok")
    assert np.mean([np.mean(of) for of in flagged.values()]) <= 0.05
