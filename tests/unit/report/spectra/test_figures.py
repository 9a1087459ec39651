"""Pictures of spectra: what is drawn is what was measured, with the lines of the theory."""

import io

import numpy as np
import pytest
import torch

from linnet.report.spectra.figures import (
    against_width,
    direction_images,
    eigenvalue_histogram,
    kappa_curves,
    lr_heatmap,
)
from linnet.spectra import LRMap, theory


def drawn(figure) -> bytes:
    file = io.BytesIO()
    figure.savefig(file, format="png")
    return file.getvalue()


def test_the_histogram_holds_every_eigenvalue_and_the_lines():
    values = [*np.geomspace(1, 3, 90), 100.0, 110.0]
    bare = eigenvalue_histogram(values)
    assert sum(patch.get_height() for patch in bare.axes[0].patches) == 92
    with_theory = eigenvalue_histogram(values, theory(3, "relu", 2.0, 0.1, 100, 46, 2))
    labels = [text.get_text() for text in with_theory.legends[0].get_texts()]
    assert {"measured", "bulk, measured band", "bulk, mean in theory", "outliers in theory, C-fold"} == set(labels)
    soft = eigenvalue_histogram(values, theory(3, "relu", 2.0, 0.1, 100, 46, 4, "cross_entropy", networks=50))
    assert len(soft.axes[0].lines) == 3
    assert len(drawn(soft)) > 5000


def test_the_map_shows_peaks_and_the_line():
    found = LRMap(
        (8, 16), (0.1, 0.2, 0.4), torch.ones(2, 3), torch.tensor([[1.0, 1, 50], [1, 1e9, float("inf")]]), (0.3, 0.15)
    )
    figure = lr_heatmap(found)
    np.testing.assert_allclose(figure.axes[0].lines[0].get_xdata(), [0.3, 0.15])
    assert len(drawn(figure)) > 5000
    assert found.edges() == (0.2, 0.1)


def test_against_width_shows_range_and_theory():
    figure = against_width([8, 16], {"raw": [[1, 2], [3, 4]], "centred": [[1], [1]]}, {"raw": [1.5, 3.5]})
    assert len(figure.axes[0].lines) >= 3
    assert len(drawn(figure)) > 5000


@pytest.mark.parametrize("shape", [(3, 5, 5), (3, 2, 5, 5)])
def test_directions_and_kappas_are_drawn(shape):
    images = np.random.default_rng(0).normal(size=shape)
    assert len(drawn(direction_images(images, images, [1.0, 2.0, 3.0]))) > 3000
    assert len(drawn(kappa_curves([1.0, 2.0], {"relu": [(1.0, 0.5), (2.0, 0.7)]}))) > 5000
