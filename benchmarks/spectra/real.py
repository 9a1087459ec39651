"""Networks as users have them: torchvision's ResNet-18 and the nucleus detector's U-Net, with a step that is tried."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from importlib.resources import files
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from benchmarks.goal import bounded, missing
from benchmarks.process import own_process
from benchmarks.small_networks import batch
from linnet.nuclei import load
from linnet.nuclei.detector.robust import robust_range
from linnet.nuclei.read.images import read_image
from linnet.report.spectra.study import measure as measured
from linnet.report.spectra.study import write
from linnet.results import Record

_GOAL_S = 600.0
_SIDE = 64
NETWORKS = {
    "resnet18": "torchvision's ResNet-18 (eval, random weights, 10 classes), 64 x 64 noise, cross entropy",
    "unet": "the shipped nucleus detector's trained U-Net, mean of each of its maps, 64 x 64 crops, half squares",
}


def torchvision_resnet18(*, quick: bool) -> list[Record]:
    """ResNet-18."""
    return [_measured("resnet18", quick=quick)]


def trained_unet(*, quick: bool) -> list[Record]:
    """The detector's network."""
    return [_measured("unet", quick=quick)]


def _measured(name: str, *, quick: bool) -> Record:
    """Whole spectrum, safe step, its trial and the report, in a process of its own."""
    what, samples = NETWORKS[name], 4 if quick else 100
    if name == "resnet18" and find_spec("torchvision") is None:
        return missing(f"spectra.real.{name}", what, goal=_GOAL_S, beside="10 minutes", reason="not installed")
    done = own_process(study_call, name, samples, peak="process")
    return bounded(
        f"spectra.real.{name}",
        f"{what}, N = {samples}: {done.value}; peak memory {done.peak_bytes / 2**30:.2f} GiB",
        done.wall_s,
        bound=_GOAL_S,
        goal="<= 600 s",
        beside="10 minutes on 2 cores",
        unit="s",
        context={"peak_bytes": done.peak_bytes},
    )


def study_call(name: str, samples: int) -> Callable[[], object]:
    """What `linnet spectrum` does, and the step's trial; what came of it in words."""
    torch.manual_seed(0)
    model, x = (resnet18(), batch((3, _SIDE, _SIDE), samples)[0]) if name == "resnet18" else unet(samples)
    loss = "cross_entropy" if name == "resnet18" else "mse"

    def run() -> str:
        study = measured(name, model, x, loss, ["fisher"], verify=True)
        with tempfile.TemporaryDirectory() as folder:
            page = write(study, Path(folder), command=f"python -m benchmarks spectra --only real_{name}")
            kilobytes = page.stat().st_size // 1024
        assert study.safe is not None
        found = study.spectra["fisher"]
        top = ", ".join(f"{value:.4g}" for value in found.eigenvalues[:3])
        return (
            f"{len(found.eigenvalues)} eigenvalues of P = {found.source.size:,}, the largest {top}; safe step "
            f"{float(study.safe):.4g}, {study.tried}; spectrum in {found.method.wall_s:.0f} s, report of {kilobytes} kB"
        )

    return run


def unet(samples: int) -> tuple[nn.Module, Tensor]:
    """The detector's network with one row of outputs for each sample, and crops of the pictures that it ships with."""
    network = nn.Sequential(load("default").network, nn.AdaptiveAvgPool2d(1), nn.Flatten())
    shipped = files("linnet.nuclei") / "samples"
    crops = []
    for name in ("fluorescence.png", "tissue.jpg"):
        pixels = np.asarray(read_image(Path(str(shipped / name))).pixels)
        scaled = robust_range(pixels).apply(pixels)
        colour = scaled if scaled.ndim == 3 else np.repeat(scaled[..., None], 3, axis=2)
        crops += list(_crops(colour[..., :3], samples - samples // 2 if not crops else samples // 2))
    return network.eval().requires_grad_(requires_grad=True), torch.from_numpy(np.stack(crops)).permute(0, 3, 1, 2)


def _crops(image: np.ndarray, count: int) -> np.ndarray:
    rng = np.random.default_rng(0)
    corners = rng.integers(0, np.subtract(image.shape[:2], _SIDE), (count, 2))
    return np.stack([image[y : y + _SIDE, x : x + _SIDE] for y, x in corners])


def resnet18() -> nn.Module:
    """Torchvision's, with random weights; where its compiled operators are of another build of torch, without them."""
    return _models().resnet18(num_classes=10).eval()


def _models() -> Any:
    try:
        from torchvision import models
    except RuntimeError:  # the two operators that its import asks for; no residual network uses them
        for name in ("nms", "qnms"):
            torch.library.define(f"torchvision::{name}", "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
        from torchvision import models
    return models
