"""An image that is read by slices only, as a memory map or a chunked file would be."""

import numpy as np


class Lazy:
    def __init__(self, image):
        self._image = image
        self.shape, self.dtype = image.shape, image.dtype
        self.largest_read = self.pixels_read = 0

    def __getitem__(self, where):
        part = np.array(self._image[where])
        self.largest_read = max(self.largest_read, part.size)
        self.pixels_read += part.size
        return part

    def __array__(self, *_, **__):
        raise AssertionError("the whole image was read at once")
