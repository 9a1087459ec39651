"""A trained network with its thresholds: from an image to the points of its nuclei."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
import torch
from torch import Tensor, nn

from linnet.engine.files.tensor_file import Kind, write_tensors
from linnet.errors import InputError
from linnet.models.fold import fold_batch_norm
from linnet.nuclei.detector.colour import Modality
from linnet.nuclei.detector.peaks import find_peaks, keep_apart, to_points
from linnet.nuclei.detector.polarity import has_polarity
from linnet.nuclei.detector.prepared import Polarity, Prepared, prepare
from linnet.nuclei.detector.receptive_field import Reach, halo, reach
from linnet.nuclei.detector.robust import robust_range
from linnet.nuclei.detector.scale import Choice, Found, find_scale, named_scale
from linnet.nuclei.detector.sizes import REFERENCE_PX, diameters_at, of_kept
from linnet.nuclei.detector.tiles import Plane, Tile
from linnet.nuclei.points.columns import Count
from linnet.nuclei.points.detections import Detections
from linnet.nuclei.points.inside import channel_means
from linnet.nuclei.read.image_input import as_image
from linnet.nuclei.trust.domain import Domain, Judgement
from linnet.nuclei.trust.early_features import EarlyFeatures

KIND = Kind("nucleus detector", 1)  # of file
DOMAIN = "domain."  # begins the names of its tensors that aren't weights
_WHOLE = 2048 * 2048  # scaled pixels up to which tile="auto" runs the image in one piece
# Core of a tile above that. At 10,000 x 10,000 pixels 1024 is faster by a third but takes 130 MB more.
_AUTO_SIDE = 640
_SMALL = 32  # pixels; less than this on a side and there is hardly a nucleus' surroundings to see


@dataclass(frozen=True)
class Thresholds:
    """How peaks become points; chosen on validation images and stored with the weights.

    Attributes:
        score: Smallest height of a peak, 0..1.
        window: Half width of a peak's neighbourhood in output cells.
        apart_px: Of two points nearer than this (in scaled pixels) the higher one stays.
    """

    score: float = 0.3
    window: int = 2
    apart_px: float = 4.0

    def __post_init__(self) -> None:
        if not 0 < self.score < 1:
            raise InputError(f"The threshold `score` must be a number between 0 and 1, such as 0.3 (got {self.score}).")


@dataclass(frozen=True)
class Detector:
    """Finds nuclei: `detector(image).points`.

    Attributes:
        network: Maps (1, 3, h, w) to (1, 1 or 3, h / stride, w / stride): the map's logit and the offsets.
        preset: Name of the network in `linnet.models`.
        thresholds: How peaks become points.
        reference_diameter_px: Diameter that nuclei have after scaling when `diameter_px` is given; ours.
        pixel_size_um: Side of a pixel of the images that it was trained on in micrometres, or None: then the size of
            the nuclei sets the scale.
        spacing_px: Median distance of the nuclei that it was trained on to their nearest neighbours, which the search
            for the scale goes by; None: the reference diameter.
        card: Facts about the weights: data, split, metrics, licence, commit.
        reach: How far the network looks; None computes it from the network's program.
        domain: The pictures that it learned from, by which another picture is flagged; None flags by simpler signs.
    """

    network: nn.Module
    preset: str = "small"
    thresholds: Thresholds = field(default_factory=Thresholds)
    reference_diameter_px: float = 24.0
    card: dict[str, Any] = field(default_factory=dict)
    pixel_size_um: float | None = None
    spacing_px: float | None = None
    reach: Reach | None = field(default=None, repr=False)
    domain: Domain | None = field(default=None, repr=False)
    _folded: nn.Module = field(init=False, repr=False)
    _reach: Reach = field(init=False, repr=False)

    def __post_init__(self) -> None:
        folded = fold_batch_norm(self.network).to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]
        for parameter in folded.parameters():
            parameter.requires_grad_(False)
        object.__setattr__(self, "_folded", folded)
        known = self.reach or reach(folded, period=int(self.network.period))  # pyright: ignore[reportArgumentType]
        object.__setattr__(self, "_reach", known)

    def __call__(
        self,
        image: Any,
        pixel_size_um: float | None = None,
        *,
        diameter_px: float | Literal["auto"] | None = "auto",
        diameter_um: float | None = None,
        scale: float | None = None,
        tile: int | Literal["auto"] | None = "auto",
        threshold: float | None = None,
        modality: Modality = "auto",
        polarity: Polarity = "auto",
        on_tile: Callable[[int, int], None] | None = None,
    ) -> Detections:
        """Nuclei of one image.

        Args:
            image: (h, w), (h, w, 3) or (h, w, 4; the alpha channel is dropped) of bool, integers or reals in any range;
                anything with shape, dtype and slicing (memory maps and lazy arrays are read in tiles).
            pixel_size_um: Side of a pixel in micrometres, for outputs in micrometres. It sets the scale too where the
                detector knows the pixel size of the images that it was trained on and this one differs by more than
                10 %.
            diameter_px: Diameter of the nuclei in this image in pixels, which is scaled to the reference diameter;
                "auto" finds it on samples of the image, and None leaves the image as it is.
            diameter_um: The same in micrometres; it needs `pixel_size_um`.
            scale: Factor by which the image is resized before detection; only one of `diameter_px`, `diameter_um`,
                `scale`.
            tile: Side of a tile's core in scaled pixels, None for untiled, "auto" to choose by size. The detections
                are the same for every choice.
            threshold: Smallest score of a point in place of the stored one.
            modality: "fluorescence" or "brightfield" for a picture that would be taken for the other.
            polarity: "bright" or "dark" nuclei; "auto" drops dark holes on dark ground and nothing else.
            on_tile: Called with (tiles done, tiles in all).

        Returns:
            The detections, in pixels of the given image.

        Raises:
            ImageError: the image has another shape or type, no pixels, or NaN or infinity.
            InputError: an option is out of range.
        """
        image = as_image(image)
        if pixel_size_um is not None and not (np.isfinite(pixel_size_um) and pixel_size_um > 0):
            raise InputError(f"`pixel_size_um` is {pixel_size_um}; a positive number of micrometres was needed.")
        known = (self.reference_diameter_px, pixel_size_um, self.pixel_size_um)
        wanted = named_scale(*known, diameter_px=diameter_px, diameter_um=diameter_um, scale=scale)
        thresholds = self.thresholds
        if threshold is not None:
            thresholds = Thresholds(threshold, thresholds.window, thresholds.apart_px)
        seen = self._seen(image, modality, polarity)
        whole: dict[float, tuple[Found, Judgement | None]] = {}
        pieces = False
        if wanted is None:
            choice = self._found_scale(seen, thresholds, whole if tile in ("auto", None) else None)
            wanted, pieces = choice.scale, choice.pieces
        judged = None
        if seen.range.constant:
            found = Found(np.zeros((0, 2)), np.zeros(0))
        elif wanted in whole:
            found, judged = whole[wanted]
            if on_tile is not None:
                on_tile(1, 1)
        else:
            plane = Plane(seen.image, seen.range, wanted, self._reach.period)
            found, judged = self._judged(plane, thresholds, tile, on_tile, seen.sign)
        reasons = _reasons(image, seen, len(found.points), pieces=pieces)
        if judged is not None and judged.flag != "ok":
            reasons = (judged.reason, *reasons)
        points, diameters = found.points + np.array(seen.origin, dtype=np.float64), found.diameters_px
        return Detections(
            points=points,
            score=found.score,
            diameters_px=diameters,
            intensities={} if diameters is None else channel_means(image, points, diameters),
            shape=(int(image.shape[0]), int(image.shape[1])),
            count=Count(len(found.points)),
            flag="out_of_domain" if judged and judged.flag == "out_of_domain" else "look" if reasons else "ok",
            flag_reasons=reasons,
            ood_score=None if judged is None else judged.score,
            scale=wanted,
            diameter_px=self.reference_diameter_px / wanted,
            pixel_size_um=pixel_size_um,
        )

    def features(self, image: Any) -> np.ndarray | None:
        """What `linnet.nuclei.trust.domain` knows a picture by, as a search with the default options sees it.

        Returns:
            (d,) features, or None for a picture without contrast.

        Raises:
            ImageError: as in a search.
        """
        seen = self._seen(as_image(image), "auto", "auto")
        if seen.range.constant:
            return None
        scale = self._found_scale(seen, self.thresholds).scale
        plane = Plane(seen.image, seen.range, scale, self._reach.period)
        with EarlyFeatures(self._folded, self.preset) as early:
            self._search(plane, self.thresholds, "auto", None, seen.sign, early)
        return early.features()

    def find_scale(self, image: Any) -> Choice:
        """The scale that `diameter_px="auto"` uses for an image, and whether there were points enough to judge by.

        Raises:
            ImageError: as in a search.
        """
        return self._found_scale(self._seen(as_image(image), "auto", "auto"), self.thresholds)

    def output(self, plane: Plane, tile: Tile) -> Tensor:
        """The network's output over a tile's window, (channels, cells, cells), float32."""
        return self._output(plane.read(tile.window))

    def _output(self, picture: np.ndarray) -> Tensor:
        with torch.inference_mode():
            x = torch.from_numpy(np.ascontiguousarray(picture))[None].to(self._device)
            return self._folded(x.contiguous(memory_format=torch.channels_last))[0].float().cpu()

    def whole(self, image: Any) -> tuple[Plane, Tile, Tensor]:
        """An image at scale 1 in one piece: its plane, the one tile, and the network's output there."""
        image = as_image(image)
        plane = Plane(image, robust_range(image), 1.0, self._reach.period)
        tile = next(plane.tiles(None, 0))
        return plane, tile, self.output(plane, tile)

    @property
    def stride(self) -> int:
        """Scaled pixels per output cell."""
        return self._reach.stride

    def save(self, path: str | Path) -> Path:
        """Write the detector to one safetensors file; `linnet.nuclei.load` reads it.

        Raises:
            CheckpointError: the file can't be written; what was there before is as it was.
            InputError: the card holds what JSON can't.
        """
        facts = {
            "preset": self.preset,
            "thresholds": asdict(self.thresholds),
            "reference_diameter_px": self.reference_diameter_px,
            "card": self.card,
        }
        sizes = {"pixel_size_um": self.pixel_size_um, "spacing_px": self.spacing_px}
        facts |= {name: value for name, value in sizes.items() if value is not None}
        known = {} if self.domain is None else self.domain.arrays()
        domain = {DOMAIN + name: torch.from_numpy(array) for name, array in known.items()}
        return write_tensors(path, self.network.state_dict() | domain, facts, KIND)

    @property
    def _device(self) -> torch.device:
        return next(self._folded.parameters()).device

    def _seen(self, image: Any, modality: Modality, polarity: Polarity) -> Prepared:
        _require_one_of("modality", modality, Modality)
        _require_one_of("polarity", polarity, Polarity)

        def merit(view: Any) -> float:
            return self._found_scale(Prepared(view, robust_range(view), (0, 0), 1, ""), self.thresholds).merit

        return prepare(image, modality, polarity, merit)

    def _found_scale(
        self, seen: Prepared, thresholds: Thresholds, whole: dict[float, tuple[Found, Judgement | None]] | None = None
    ) -> Choice:
        """The scale; what was found on the way in the whole of a small image goes to `whole`."""
        if seen.range.constant:
            return Choice(1.0, sure=False)

        def find(part: np.ndarray, scale: float) -> Found:
            plane = Plane(part, seen.range, scale, self._reach.period)
            if whole is None or part.shape[:2] != seen.image.shape[:2]:
                return self._search(plane, thresholds, None, None, seen.sign)
            whole[scale] = self._judged(plane, thresholds, None, None, seen.sign)
            return whole[scale][0]

        spacing = self.spacing_px or self.reference_diameter_px
        return find_scale(find, seen.image, spacing, lambda block: float(seen.range.apply(block).std()))

    def _judged(
        self,
        plane: Plane,
        thresholds: Thresholds,
        tile: int | Literal["auto"] | None,
        on_tile: Callable[[int, int], None] | None,
        sign: int,
    ) -> tuple[Found, Judgement | None]:
        """What is found, and how unusual the picture is for a detector that knows its domain."""
        if self.domain is None:
            return self._search(plane, thresholds, tile, on_tile, sign), None
        with EarlyFeatures(self._folded, self.preset) as early:
            found = self._search(plane, thresholds, tile, on_tile, sign, early)
        features = early.features()
        return found, None if features is None else self.domain.judge(features)

    def _search(
        self,
        plane: Plane,
        thresholds: Thresholds,
        tile: int | Literal["auto"] | None,
        on_tile: Callable[[int, int], None] | None,
        sign: int = 0,
        early: EarlyFeatures | None = None,
    ) -> Found:
        """Points of all tiles; close points are merged once, over the whole image."""
        tiles = list(plane.tiles(_side(tile, plane), halo(self._reach, thresholds.window)))
        parts, sizes = [], []
        for done, each in enumerate(tiles, start=1):
            picture = plane.read(each.window)
            output = self._output(picture)
            points, logit = peaks_in(output, each, self._reach.stride, thresholds)
            if early is not None:
                early.take(picture, plane.size, each.core, each.window)
            if sign and len(points):
                corner = np.array([each.window[0][0], each.window[1][0]])
                kept = has_polarity(picture, points - corner, sign)
                points, logit = points[kept], logit[kept]
            parts.append((points, logit))
            sizes.append(diameters_at(output, points, each, self._reach.stride, REFERENCE_PX))
            if on_tile is not None:
                on_tile(done, len(tiles))
        points, logit = np.concatenate([p for p, _ in parts]), np.concatenate([s for _, s in parts])
        kept, score = settle(points, logit, plane, thresholds)
        known = [size for size in sizes if size is not None]
        return Found(kept, score, of_kept(kept, points, np.concatenate(known), plane) if known else None)


def peaks_in(output: Tensor, tile: Tile, stride: int, thresholds: Thresholds) -> tuple[np.ndarray, np.ndarray]:
    """Points (n, 2) in scaled pixels and logits (n,) of the peaks whose cell lies in the tile's core.

    Args:
        output: (1 or 3, cells, cells) over the tile's window.
        tile: Where it lies.
        stride: Scaled pixels per cell.
        thresholds: Score and window count here.
    """
    logit = float(np.log(thresholds.score) - np.log1p(-thresholds.score))
    cells, heights = find_peaks(output[0], threshold=logit, window=thresholds.window)
    at = cells + np.array([tile.window[0][0], tile.window[1][0]]) // stride
    (y0, y1), (x0, x1) = tile.core
    mine = np.all((at >= np.array([y0, x0]) // stride) & (at < np.array([y1, x1]) // stride), axis=1)
    cells, heights, at = cells[mine], heights[mine], at[mine]
    offset = output[1:3, cells[:, 0], cells[:, 1]].T.numpy() if len(output) > 1 else None
    return to_points(at, offset, stride), heights


def settle(
    points: np.ndarray, logit: np.ndarray, plane: Plane, thresholds: Thresholds
) -> tuple[np.ndarray, np.ndarray]:
    """Points in image pixels and scores, of all tiles: inside the image, merged, sorted by (y, x)."""
    points = (points + 0.5) / plane.scale - 0.5
    inside = np.all((points >= -0.5) & (points < np.array(plane.image.shape[:2]) - 0.5), axis=1)
    points, logit = points[inside], logit[inside]
    kept = keep_apart(points, logit, thresholds.apart_px / plane.scale)
    return points[kept], 1 / (1 + np.exp(-logit[kept].astype(np.float64)))


def _require_one_of(name: str, value: object, choices: Any) -> None:
    if value not in get_args(choices):
        raise InputError(f"`{name}` must be one of {', '.join(get_args(choices))} (got {value!r}).")


def _side(tile: int | Literal["auto"] | None, plane: Plane) -> int | None:
    if tile == "auto":
        height, width = plane.size
        return None if height * width <= _WHOLE else _AUTO_SIDE
    if tile is not None and (not isinstance(tile, (int, np.integer)) or isinstance(tile, bool) or tile < 1):
        raise InputError(f"`tile` is {tile!r}; 'auto', None or a positive number of pixels was needed.")
    return tile


def _reasons(image: Any, seen: Prepared, nuclei: int, *, pieces: bool) -> tuple[str, ...]:
    reasons = [seen.word] if seen.word else []
    if pieces:
        reasons.append(
            "enlarged, the picture shows several times as many and much smaller nuclei, which may be pieces of nuclei; "
            "the diameter is in doubt, so measure a nucleus and give its diameter"
        )
    if seen.range.constant:
        reasons.append("the image is constant: every pixel has the same value")
    elif nuclei == 0 and min(image.shape[:2]) >= _SMALL:
        reasons.append("no nucleus was found")
    if min(image.shape[:2]) < _SMALL:
        reasons.append(f"the image is only {image.shape[1]} x {image.shape[0]} pixels")
    return tuple(reasons)
