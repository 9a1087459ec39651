"""Diameters from the network's fourth channel."""

import numpy as np
import torch
from torch import nn

from linnet.nuclei.detector.brightness import Range
from linnet.nuclei.detector.detector import Detector, Thresholds
from linnet.nuclei.detector.sizes import REFERENCE_PX, diameters_at, of_kept
from linnet.nuclei.detector.tiles import Plane, Tile
from linnet.nuclei.points.csv import to_csv
from linnet.nuclei.points.csv_detections import from_csv
from linnet.nuclei.points.geojson import to_geojson
from linnet.nuclei.points.write import to_json
from tests.unit.nuclei.networks import Spotter


class Sizer(Spotter):
    """A spotter whose fourth channel is 0.5 everywhere."""

    def __init__(self, stride):
        super().__init__(stride)
        spotter, self.look = self.look, nn.Conv2d(3, 4, 5 * stride, stride, padding=2 * stride)
        with torch.no_grad():
            self.look.weight.zero_()
            self.look.weight[:3] = spotter.weight
            self.look.bias.copy_(torch.cat([spotter.bias, torch.tensor([0.5])]))


def test_the_cell_of_a_point_gives_its_diameter():
    output = torch.zeros(4, 6, 8)
    output[3] = torch.arange(48).reshape(6, 8) / 40
    tile = Tile(((0, 24), (16, 48)), ((0, 24), (16, 48)))
    points = np.array([[-0.4, 16.0], [3.4, 20.0], [3.6, 20.0], [23.4, 47.4]])
    expected = [0 / 40, 1 / 40, 9 / 40, 47 / 40]  # cells (0, 0), (0, 1), (1, 1), (5, 7) of 4 pixels
    found = diameters_at(output, points, tile, 4, 24.0)
    np.testing.assert_allclose(found, 24 * np.exp(expected), rtol=1e-6)
    assert diameters_at(output[:3], points, tile, 4, 24.0) is None


def test_kept_points_keep_their_diameters_in_pixels_of_the_image():
    plane = Plane(np.zeros((10, 20)), Range(0, 1), 2.0, 1)
    points, diameters = np.array([[3.0, 5.0], [8.0, 9.0], [4.0, 30.0]]), np.array([10.0, 20.0, 30.0])
    kept = (points[[2, 0]] + 0.5) / 2 - 0.5
    assert of_kept(kept, points, diameters, plane).tolist() == [15.0, 5.0]
    assert len(of_kept(kept[:0], points, diameters, plane)) == 0


def test_every_nucleus_has_its_diameter_in_every_file():
    image = np.zeros((60, 80), np.uint8)
    for y, x in ((10, 12), (30, 60), (50, 20)):
        image[y, x] = 200
    found = Detector(Sizer(1), thresholds=Thresholds(0.5, 2, 4.0))(image, scale=1)
    assert len(found) == len(found.diameters_px) > 2
    np.testing.assert_allclose(found.diameters_px, REFERENCE_PX * np.exp(0.5), rtol=1e-6)
    assert ",diameter_px,area_px,mean_intensity,flag" in to_csv(found).splitlines()[0]
    again = from_csv(to_csv(found), shape=found.shape)
    assert np.array_equal(again.diameters_px, found.diameters_px)
    assert to_csv(again) == to_csv(found)
    assert f'"diameter_px": {float(found.diameters_px[0])}' in to_geojson(found)
    assert f'"diameters_px": [{float(found.diameters_px[0])}' in to_json(found)
    without = Detector(Spotter(1), thresholds=Thresholds(0.5, 2, 4.0))(image, scale=1)
    assert without.diameters_px is None
    assert "diameter_px" not in to_csv(without)
