"""Pictures in indexed colours whose map shows intensities are read as their indices; photographs and labels aren't."""

import matplotlib as mpl
import numpy as np
import pytest
import tifffile
from PIL import Image
from skimage.data import immunohistochemistry

from linnet.nuclei.read.images import read_image
from linnet.nuclei.read.small_images import shows_intensities

MAPS = ("gray", "viridis", "plasma", "inferno", "jet", "turbo", "rainbow", "nipy_spectral", "hsv", "hot", "gist_ncar")


def table(name):
    return (mpl.colormaps[name](np.linspace(0, 1, 256))[:, :3] * 255).round().astype(np.uint8)


def gradient():
    return np.add.outer(np.arange(64), 3 * np.arange(64)).astype(np.uint8)


@pytest.mark.parametrize("name", MAPS)
@pytest.mark.parametrize("ending", ["tif", "png", "gif", "bmp"])
def test_the_index_is_read(tmp_path, name, ending):
    path = tmp_path / f"a.{ending}"
    if ending == "tif":
        tifffile.imwrite(path, gradient(), photometric="palette", colormap=table(name).T.astype(np.uint16) * 257)
    else:
        picture = Image.frombytes("P", (64, 64), gradient().tobytes())
        picture.putpalette(table(name).tobytes())
        picture.save(path)
    found = read_image(path).pixels
    if (name, ending) == ("gray", "png"):  # three equal channels, which a search takes for gray
        found = found[..., 0]
    assert np.array_equal(found, gradient())


@pytest.mark.parametrize("ending", ["tif", "png", "gif", "bmp"])
def test_a_photograph_in_256_colours_keeps_its_colours(tmp_path, ending):
    photograph = immunohistochemistry()[100:164, 200:264]
    picture = Image.fromarray(photograph).convert("P", palette=Image.Palette.ADAPTIVE, colors=256)
    path = tmp_path / f"a.{ending}"
    if ending == "tif":
        colors = np.zeros((256, 3), np.uint16)
        given = np.array(picture.getpalette()).reshape(-1, 3)
        colors[: len(given)] = given * 257
        tifffile.imwrite(path, np.array(picture), photometric="palette", colormap=colors.T)
        found = read_image(path).pixels // 257
    else:
        picture.save(path)
        found = read_image(path).pixels
    assert found.shape == (64, 64, 3)
    assert np.abs(found.astype(int) - photograph).mean() < 6


def test_labels_and_few_colours_are_no_intensities():
    rng = np.random.default_rng(0)
    assert not shows_intensities(rng.integers(0, 256, (256, 3)))
    assert not shows_intensities(np.repeat(rng.integers(0, 256, (16, 3)), 16, axis=0))
    assert not shows_intensities(table("tab20"))
    assert shows_intensities(table("jet").astype(np.uint16) * 257)
    hilo = table("gray")
    hilo[0], hilo[-1] = (0, 0, 255), (255, 0, 0)
    assert shows_intensities(hilo)
