"""Networks as users have them: torchvision's ResNet-18 and a U-Net, with a step size that is tried."""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec
from typing import Any

import torch
from torch import nn

from benchmarks.goal import bounded, missing
from benchmarks.process import own_process
from benchmarks.small_networks import batch
from linnet.models import ResidualUNet
from linnet.results import Record
from linnet.spectra import fisher, safe_lr, verify_lr

_GOAL_S, _MEMORY = 600.0, 6 * 2**30


def measure(*, quick: bool) -> list[Record]:
    """Whole spectrum, step size and its trial, each network in a process of its own."""
    records = []
    for name, what in (("resnet18", "torchvision's ResNet-18, eval, 10 classes, 64 x 64"), ("unet", "U-Net, 32 x 32")):
        if name == "resnet18" and find_spec("torchvision") is None:
            records.append(
                missing(f"spectra.real.{name}", what, goal=_GOAL_S, beside="10 minutes", reason="not installed")
            )
            continue
        done = own_process(study_call, name, 4 if quick else 100, peak="process")
        records.append(
            bounded(
                f"spectra.real.{name}",
                f"{what}, N = {4 if quick else 100}: {done.value}; peak memory {done.peak_bytes / 2**30:.2f} GiB",
                done.wall_s,
                bound=_GOAL_S,
                goal="<= 600 s",
                beside="10 minutes on 2 cores",
                unit="s",
                context={"peak_bytes": done.peak_bytes},
            )
        )
    return records


def study_call(name: str, samples: int) -> Callable[[], object]:
    """The spectrum and the step, and what they are in words."""
    torch.manual_seed(0)
    side = 64 if name == "resnet18" else 32
    model, x = (resnet18() if name == "resnet18" else unet()).eval(), batch((3, side, side), samples)[0]

    def run() -> str:
        found = fisher(model, x, memory=_MEMORY)
        lr = safe_lr(model, x, memory=_MEMORY)
        tried = verify_lr(model, x, lr, steps=20)
        top = ", ".join(f"{value:.4g}" for value in found.eigenvalues[:3])
        return (
            f"{len(found.eigenvalues)} eigenvalues of mse, the largest {top}; safe step {float(lr):.4g}, {tried}; "
            "routes "
            f"{found.method.route} in {found.method.wall_s:.0f} s"
        )

    return run


def unet() -> nn.Module:
    """The residual U-Net, its map reduced to four means."""
    return nn.Sequential(ResidualUNet(8), nn.AdaptiveAvgPool2d(2), nn.Flatten())


def resnet18() -> nn.Module:
    """Torchvision's, with random weights; where its compiled operators are of another build of torch, without them."""
    return _models().resnet18(num_classes=10)


def _models() -> Any:
    try:
        from torchvision import models
    except RuntimeError:  # the two operators that its import asks for; no residual network uses them
        for name in ("nms", "qnms"):
            torch.library.define(f"torchvision::{name}", "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
        from torchvision import models
    return models
