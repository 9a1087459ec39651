"""The generated suite: common corruptions of images, computed here. It isn't a published set of corrupted arrays."""
