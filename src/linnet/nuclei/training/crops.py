"""Training batches: turned, scaled and recoloured crops of annotated images, with their targets."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import KW_ONLY, dataclass, field

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from linnet.data.augmentation.artefacts import Artefacts
from linnet.data.augmentation.photometric import Photometric
from linnet.errors import InputError
from linnet.nuclei.detector.brightness import OUTSIDE, Range, brightness_range
from linnet.nuclei.training.targets import Target, build_target, map_radius, size_map

Batch = dict[str, Tensor]


@dataclass(frozen=True)
class Annotated:
    """One image with its true centres.

    Attributes:
        pixels: (h, w) or (h, w, 3) pixels as read from the file.
        points: (n, 2) float64 centres, y and x in pixels.
        group: Kind of image; kinds are drawn with probability ~ n_group ** balance.
        ignore: (h, w) mask of regions that aren't annotated, or None.
        diameters: (n,) equivalent diameters of the nuclei in pixels, NaN where unknown; None when none is known.

    Raises:
        InputError: the mask has another size than the image, or there isn't a diameter for each point.
    """

    pixels: np.ndarray
    points: np.ndarray
    group: str = ""
    ignore: np.ndarray | None = None
    diameters: np.ndarray | None = None
    range: Range = field(init=False)
    map_radius: float = field(init=False)

    def __post_init__(self) -> None:
        if self.ignore is not None:
            if np.shape(self.ignore) != self.pixels.shape[:2]:
                raise InputError(
                    f"`ignore` has shape {np.shape(self.ignore)}; a mask of the image's size, "
                    f"{self.pixels.shape[:2]}, was needed."
                )
            object.__setattr__(self, "ignore", np.asarray(self.ignore) != 0)
        if self.diameters is not None and np.shape(self.diameters) != (len(self.points),):
            raise InputError(
                f"`diameters` must hold one number for each of the {len(self.points)} points (got shape "
                f"{np.shape(self.diameters)})."
            )
        object.__setattr__(self, "range", brightness_range(self.pixels))
        object.__setattr__(self, "map_radius", map_radius(self.points))


@dataclass(frozen=True)
class CropLoader:
    """Batches of random crops; batch i of epoch e depends on (rng_seed, e, i) alone, so training resumes exactly.

    A batch holds `image` (b, 3, side, side), `map` (b, 1, cells, cells), `offset` (b, 2, cells, cells) and `weight`
    (b, 1, cells, cells). What lies outside the picture has brightness OUTSIDE, as in detection, so that the network
    learns where a nucleus cut by the picture's border has its centre. The weight is 0 outside the picture, in regions
    that aren't annotated, and within `margin` of the crop's own border, where a nucleus is cut although its centre is
    that of the whole nucleus.

    Attributes:
        images: Annotated images.
        stride: Output stride of the network in pixels.
        batches: Batches per epoch.
        batch_size: Crops per batch over all processes.
        side: Side of a crop in pixels.
        margin: Pixels along the crop's border that carry no weight.
        rng_seed: Seed of all draws.
        balance: 1 draws kinds of image by their number, 0 all alike.
        scale: Log-range of the random magnification.
        photometric: Changes of brightness, stain, focus and noise; None for none.
        artefacts: Colour maps, dust, hot pixels, JPEG and the like; None for none.
        target: "proximity" or "repel", see `build_target`.
        sizes: Adds `diameter` (b, 1, cells, cells) to each batch: the logarithm of the diameter of the nearest nucleus
            over `REFERENCE_PX` where the map is above 0, NaN where it isn't known.
    """

    images: Sequence[Annotated]
    stride: int
    _: KW_ONLY
    batches: int = 200
    batch_size: int = 16
    side: int = 160
    margin: int = 16
    rng_seed: int = 0
    balance: float = 0.5
    scale: float = 0.45
    photometric: Photometric | None = field(default_factory=Photometric)
    artefacts: Artefacts | None = None
    target: Target = "proximity"
    sizes: bool = False

    def __post_init__(self) -> None:
        if not self.images:
            raise InputError("There are no annotated images; at least one was needed to draw crops from.")
        if self.batches < 1 or self.batch_size < 1:
            raise InputError(
                f"`batches` is {self.batches} and `batch_size` {self.batch_size}; at least 1 of each was needed."
            )
        if self.side % self.stride:
            raise InputError(f"`side` is {self.side}; a multiple of the output stride {self.stride} was needed.")
        if self.side <= 2 * self.margin:
            raise InputError(
                f"`side` is {self.side} and `margin` {self.margin}: no pixel would carry weight. "
                f"A side above {2 * self.margin} was needed."
            )

    def __len__(self) -> int:
        """Batches per epoch."""
        return self.batches

    def epoch(self, index: int, start: int = 0, rank: int = 0, world: int = 1) -> Iterator[Batch]:
        """Batches `start`, `start` + 1, ... of epoch `index`; each process gets its own crops of every batch.

        Raises:
            InputError: `batch_size` is no multiple of `world`.
        """
        if self.batch_size % world:
            raise InputError(
                f"`batch_size` is {self.batch_size} and there are {world} processes; a multiple of {world} was needed."
            )
        return self._ahead(index, start, rank, world)

    def _ahead(self, index: int, start: int, rank: int, world: int) -> Iterator[Batch]:
        with ThreadPoolExecutor(max_workers=1) as ahead:  # one batch is made while the network learns from another
            waiting = deque(ahead.submit(self._batch, index, i, rank, world) for i in range(start, self.batches)[:2])
            for i in range(start + 2, self.batches + 2):
                batch = waiting.popleft().result()
                if i < self.batches:
                    waiting.append(ahead.submit(self._batch, index, i, rank, world))
                yield batch

    def _batch(self, epoch: int, index: int, rank: int, world: int) -> Batch:
        seeds = np.random.SeedSequence([self.rng_seed, epoch, index]).spawn(self.batch_size)[rank::world]
        crops = [self._crop(seed) for seed in seeds]
        return {key: torch.stack([crop[key] for crop in crops]) for key in crops[0]}

    def _crop(self, seed: np.random.SeedSequence) -> Batch:
        """One crop, a function of its seed alone, so that the number of processes doesn't matter."""
        rng = np.random.default_rng(seed)
        image = self.images[self._draw_image(rng)]
        scale = math.exp(rng.uniform(-self.scale, self.scale))
        forward = scale * _turn(rng)
        centre = _draw_centre(image, rng, self.side / scale)
        pixels, picture, known = _sample(image, np.linalg.inv(forward), centre, self.side)
        pixels = self._spoilt(pixels, rng)
        points = (image.points - centre) @ forward.T + (self.side - 1) / 2
        d = float(np.clip(image.map_radius * scale, 3.0, 12.0))
        height, offset = self._target(points, d)
        known_sizes = {"diameter": self._sizes(image, points, d, scale)} if self.sizes else {}
        return {
            **known_sizes,
            "image": torch.where(picture > 0.5, pixels, OUTSIDE),
            "map": torch.from_numpy(height).float()[None],
            "offset": torch.from_numpy(offset).float(),
            "weight": self._weight(known),
        }

    def _spoilt(self, pixels: Tensor, rng: np.random.Generator) -> Tensor:
        """The picture after its changes of colour and focus, and its faults."""
        if self.artefacts is not None:
            pixels = self.artefacts.before(pixels, rng)
        if self.photometric is not None:
            generator = torch.Generator().manual_seed(int(rng.integers(1 << 62)))
            pixels = self.photometric(pixels[None], generator)[0]
        return pixels if self.artefacts is None else self.artefacts.after(pixels, rng)

    def _sizes(self, image: Annotated, points: np.ndarray, d: float, scale: float) -> Tensor:
        cells = self.side // self.stride
        known = np.full(len(points), np.nan) if image.diameters is None else image.diameters * scale
        return torch.from_numpy(size_map(points, known, (cells, cells), self.stride, d)).float()[None]

    def _target(self, points: np.ndarray, d: float) -> tuple[np.ndarray, np.ndarray]:
        """Map and offsets of the crop; points outside shape it too.

        In "proximity" those nearer than d do; in "repel" any may be some cell's second nearest.
        """
        if self.target == "proximity":
            points = points[np.all((points > -d - 1) & (points < self.side + d), axis=1)]
        cells = self.side // self.stride
        return build_target(points, (cells, cells), self.stride, d, target=self.target)

    def _weight(self, known: Tensor) -> Tensor:
        inner = F.pad(torch.ones_like(known)[..., 2 * self.margin :, 2 * self.margin :], (self.margin,) * 4)
        return (F.avg_pool2d((known * inner)[None], self.stride)[0] > 0.5).float()

    def _draw_image(self, rng: np.random.Generator) -> int:
        groups: dict[str, list[int]] = {}
        for i, image in enumerate(self.images):
            groups.setdefault(image.group, []).append(i)
        sizes = np.array([len(g) for g in groups.values()], dtype=float) ** self.balance
        members = list(groups.values())[rng.choice(len(sizes), p=sizes / sizes.sum())]
        return members[rng.integers(len(members))]


def _turn(rng: np.random.Generator) -> np.ndarray:
    """A rotation, by a right angle or any angle with equal chance, after a flip or none."""
    angle = rng.integers(4) * math.pi / 2 if rng.random() < 0.5 else rng.uniform(0, 2 * math.pi)
    turn = np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
    return turn @ np.diag([1.0, rng.choice([-1.0, 1.0])])


def _draw_centre(image: Annotated, rng: np.random.Generator, reach: float) -> np.ndarray:
    """Centre of the crop: near a nucleus or anywhere in the picture; the crop may reach beyond the border."""
    size = np.array(image.pixels.shape[:2], dtype=float)
    if len(image.points) and rng.random() < 0.5:
        centre = image.points[rng.integers(len(image.points))] + rng.uniform(-reach / 3, reach / 3, 2)
    else:
        centre = rng.uniform(0, size)
    margin = np.minimum(0.4 * reach, size / 2)
    return np.clip(centre, margin - 0.5, size - margin - 0.5)


def _sample(image: Annotated, back: np.ndarray, centre: np.ndarray, side: int) -> tuple[Tensor, Tensor, Tensor]:
    """The crop's normalised pixels (3, side, side), and where it shows the picture and its annotated part."""
    window, origin = _window((image.pixels.shape[0], image.pixels.shape[1]), back, centre, side)
    pixels = image.range.apply(image.pixels[window])
    source = torch.from_numpy(pixels if pixels.ndim == 3 else pixels[..., None]).permute(2, 0, 1)
    annotated = np.ones(pixels.shape[:2]) if image.ignore is None else ~image.ignore[window]
    grid = _grid(back, centre - origin, side, pixels.shape[:2])
    crop = F.grid_sample(source[None], grid, mode="bilinear", padding_mode="border", align_corners=False)[0]
    masks = torch.from_numpy(np.stack([np.ones(pixels.shape[:2]), annotated])).float()
    picture, known = F.grid_sample(masks[None], grid, mode="nearest", align_corners=False)[0].split(1)
    return crop.expand(3, -1, -1), picture, known


def _window(
    size: tuple[int, int], back: np.ndarray, centre: np.ndarray, side: int
) -> tuple[tuple[slice, slice], np.ndarray]:
    """The smallest part of the image that holds the crop, and where it begins."""
    reach = np.abs(back).sum(axis=1) * side / 2 + 2
    low = np.maximum(np.floor(centre - reach), 0).astype(int)
    high = np.minimum(np.ceil(centre + reach) + 1, size).astype(int)
    return (slice(low[0], high[0]), slice(low[1], high[1])), low


def _grid(back: np.ndarray, centre: np.ndarray, side: int, size: tuple[int, int]) -> Tensor:
    """Sampling positions for `grid_sample`, which wants x before y and the picture's edges at -1 and 1."""
    offset = np.arange(side) - (side - 1) / 2
    at = np.stack(np.meshgrid(offset, offset, indexing="ij"), axis=-1) @ back.T + centre
    unit = (2 * at + 1) / np.array(size) - 1
    return torch.from_numpy(unit[..., ::-1].copy()).float()[None]
