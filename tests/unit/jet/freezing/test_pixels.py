from fractions import Fraction

import torch

from linnet.jet.freezing.pixels import pixels_of, whole_pixels


def test_prepared_float32_images_give_their_pixels_back():
    seen = pixels_of((1 / 255, -0.5), (0, 255))
    assert seen.scale == Fraction(1 / 255)
    pixels = torch.arange(256).reshape(1, 1, 16, 16)
    assert torch.equal(whole_pixels((pixels / 255 - 0.5), seen), pixels)
    assert torch.equal(whole_pixels(pixels.to(torch.uint8), seen), pixels)
    assert torch.equal(seen.seen(pixels), pixels.double() * (1 / 255) - 0.5)
