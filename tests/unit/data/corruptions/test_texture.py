"""The plasma of fog against a loop over cells; range of both textures."""

import numpy as np
import pytest

from linnet.data.corruptions.draws import Draws
from linnet.data.corruptions.texture import crystals, plasma

IMAGES = np.random.default_rng(0).integers(0, 256, (2, 8, 8, 3), dtype=np.uint8)


class Given(Draws):
    """Draws that are known."""

    def __init__(self, noise):
        self.noise = noise

    def uniform(self, low, high, *shape):
        return self.noise


def slow_plasma(noise, side, decay):
    """Diamond-square, a cell at a time, on a torus."""
    grid = {(0, 0): 0.0}
    numbers, step, amplitude = iter(noise), side, 1.0
    while step >= 2:
        half = step // 2
        corners = range(0, side, step)
        for y in corners:
            for x in corners:
                around = [grid[(y + a) % side, (x + b) % side] for a in (0, step) for b in (0, step)]
                grid[y + half, x + half] = sum(around) / 4 + amplitude * next(numbers)
        for horizontal in (True, False):
            for y in corners:
                for x in corners:
                    dy, dx = (0, half) if horizontal else (half, 0)
                    around = [
                        grid[(y + dy + a * half) % side, (x + dx + b * half) % side]
                        for a, b in ((0, 1), (0, -1), (1, 0), (-1, 0))
                    ]
                    grid[y + dy, x + dx] = sum(around) / 4 + amplitude * next(numbers)
        step, amplitude = half, amplitude / decay**2
    found = np.array([[grid[y, x] for x in range(side)] for y in range(side)])
    return (found - found.min()) / (found.max() - found.min())


def test_plasma_is_that_of_a_loop_over_cells():
    noise = np.random.default_rng(1).uniform(-1, 1, (2, 64))
    found = plasma(Given(noise), 8, 8, 2.5)
    for n in range(2):
        assert found[n] == pytest.approx(slow_plasma(noise[n], 8, 2.5), abs=1e-12)


@pytest.mark.parametrize("sides", [(8, 8), (20, 33)])
def test_textures_fill_their_range(sides):
    fog = plasma(Draws(IMAGES, "fog", 1, 0), *sides, 3)
    frost = crystals(Draws(IMAGES, "frost_like", 1, 0), *sides)
    for texture in (fog, frost):
        assert texture.shape == (2, *sides)
        assert 0 <= texture.min() < texture.max() <= 1
        assert not np.array_equal(texture[0], texture[1])
