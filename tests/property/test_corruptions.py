"""Corruptions of random batches: neither batch nor order matters, and the range holds."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from linnet.data import corrupt, corruption_names


@st.composite
def batches(draw):
    channels = draw(st.sampled_from([1, 3]))
    shape = (draw(st.integers(1, 4)), draw(st.integers(8, 20)), draw(st.integers(8, 20)), channels)
    generator = np.random.default_rng(draw(st.integers(0, 2**31)))
    low, high = draw(st.sampled_from([(0, 256), (0, 1), (255, 256), (100, 120)]))
    return generator.integers(low, high, shape, dtype=np.uint8), draw(
        st.sampled_from(corruption_names(channels=channels))
    )


@given(batches(), st.integers(1, 5), st.integers(0, 5), st.randoms(use_true_random=False))
@settings(deadline=None, max_examples=60)
def test_an_image_becomes_the_same_in_any_batch(batch, severity, seed, random):
    images, name = batch
    whole = corrupt(images, name, severity, rng_seed=seed)
    order = list(range(len(images)))
    random.shuffle(order)
    assert np.array_equal(corrupt(images[order], name, severity, rng_seed=seed), whole[order])
    alone = corrupt(images[:1], name, severity, rng_seed=seed)
    assert np.array_equal(alone[0], whole[0])
    assert whole.dtype == np.uint8
    floats = corrupt(np.moveaxis(images / 255.0, 3, 1), name, severity, rng_seed=seed)
    assert floats.min() >= 0
    assert floats.max() <= 1
    assert np.array_equal(np.rint(np.moveaxis(floats, 1, 3) * 255).astype(np.uint8), whole)
