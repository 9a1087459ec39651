"""How large the study is: smoke, cpu or gpu."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType

import torch

from linnet.engine import Compute
from linnet.engine.compute.device import Precision

Stages = tuple[tuple[int, ...], ...]


@dataclass(frozen=True)
class Target:
    """A budget of the study.

    Attributes:
        name: As tables name it.
        macs: Share of the dense network's multiply-accumulates.
        params: Share of its parameters; None: no limit.
    """

    name: str
    macs: float
    params: float | None = None

    def limits(self) -> dict[str, float]:
        """As `linnet.prune.Budget` takes them."""
        return {"macs": self.macs} if self.params is None else {"macs": self.macs, "params": self.params}


@dataclass(frozen=True)
class Recipe:
    """How a network is trained, besides its learning rate.

    Attributes:
        weight_decay: Of all parameters.
        nesterov: Whether the momentum looks ahead.
        warmup: Share of the updates over which the rate rises to its largest value; then it falls along a cosine.
        label_smoothing: Of the cross-entropy.
    """

    weight_decay: float = 1e-4
    nesterov: bool = False
    warmup: float = 0.0
    label_smoothing: float = 0.0


@dataclass(frozen=True)
class Scale:
    """Everything that sets the size of the study.

    Attributes:
        name: smoke, cpu, gpu, headline or headline_full.
        sets: The sets of images, as recipes name them.
        images: Training images that take part; -1: all but those for validation.
        validation_images: Further training images, that settings are chosen on; 0: nothing is chosen, the first of
            `lrs` and of `fine_tune` are taken.
        test_images: Test images that take part; 0: all.
        halved: Whether images are made half as large, by the mean of 2 x 2 pixels.
        stages: Widths of the VGG network.
        epochs: Of each training, all its parts together.
        batch_size: Images of a step.
        augmented: Whether training images are flipped and shifted by up to 4 pixels.
        lrs: Learning rates that the dense network is tuned over.
        fine_tune: Factors on that rate that the fine-tuning of the rivals is tuned over.
        seeds: Fresh seeds for each arm.
        budgets: The first one is the most important.
        align: Kept channels come in multiples of this.
        ablation_seeds: Seeds of the ablation; 0: it is left out.
        variants: Keys of the ablation's variants; empty: all.
        timing_rounds: How often each network is timed.
        workers: Processes.
        device: Where.
        precision: Of the forward pass.
        recipe: Of each training.
        arms: Keys of the arms that take part, the most important first; empty: all of `ARMS`.
        gpu_epochs: Of each training where torch sees a GPU; 0: as everywhere.
        checkpoint_steps: Updates between the checkpoints inside a training; 0: it begins again after a kill.
    """

    name: str
    sets: tuple[str, ...]
    images: int
    validation_images: int
    test_images: int
    halved: bool
    stages: Stages
    epochs: int
    batch_size: int
    augmented: bool
    lrs: tuple[float, ...]
    fine_tune: tuple[float, ...]
    seeds: int
    budgets: tuple[Target, ...]
    align: int
    ablation_seeds: int
    variants: tuple[str, ...]
    timing_rounds: int
    workers: int
    device: str
    precision: Precision = "float32"
    recipe: Recipe = field(default_factory=Recipe)
    arms: tuple[str, ...] = ()
    gpu_epochs: int = 0
    checkpoint_steps: int = 0

    @property
    def tuned(self) -> bool:
        """Whether the learning rate and the factor of fine-tuning are chosen on validation images."""
        return self.validation_images > 0

    def on_this_machine(self) -> Scale:
        """The same with the epochs of a GPU, where torch sees one."""
        long = self.gpu_epochs and torch.cuda.is_available()
        return replace(self, epochs=self.gpu_epochs) if long else self

    def quick(self) -> Scale:
        """The same study with few images, two epochs and one budget: does it run? Claims nothing.

        In float32 where there is no GPU: bfloat16 takes minutes for a step of VGG-16 on most CPUs.
        """
        return replace(
            self, images=128, validation_images=64, test_images=128, epochs=2, batch_size=32, seeds=1, lrs=self.lrs[:1],
            fine_tune=self.fine_tune[:1], budgets=self.budgets[:1], ablation_seeds=min(self.ablation_seeds, 1),
            precision=self.precision if torch.cuda.is_available() else "float32",
        )  # fmt: skip

    def target(self, name: str) -> Target:
        """The budget of that name."""
        return next(target for target in self.budgets if target.name == name)

    def compute(self) -> Compute:
        """Device and precision."""
        return Compute.pick(self.device, precision=self.precision)


_THIN: Stages = ((16, 16), (32, 32), (64, 64))
_VGG16: Stages = ((64, 64), (128, 128), (256, 256, 256), (512, 512, 512), (512, 512, 512))
_HALF_VGG16: Stages = ((32, 32), (64, 64), (128, 128, 128), (256, 256, 256), (256, 256, 256))
_ONE_CYCLE = Recipe(weight_decay=5e-4, nesterov=True, warmup=0.25, label_smoothing=0.1)
_SHARES = (Target("25 %", 0.25), Target("10 %", 0.1), Target("50 %", 0.5))
_HEADLINE = Scale(
    "headline", ("cifar10_jpeg",), images=-1, validation_images=0, test_images=0, halved=False, stages=_HALF_VGG16,
    epochs=12, batch_size=128, augmented=True, lrs=(0.1,), fine_tune=(1.0,), seeds=3,
    budgets=(Target("headline", 0.238, 0.059),), align=4, ablation_seeds=0, variants=(), timing_rounds=100, workers=0,
    device="auto", precision="bfloat16", recipe=_ONE_CYCLE, gpu_epochs=100, checkpoint_steps=100,
    arms=("ours", "rank_equal", "uniform", "dense", "random", "torch_pruning_equal", "rank", "uniform_equal"),
)  # fmt: skip

SCALES: Mapping[str, Scale] = MappingProxyType(
    {
        "smoke": Scale(
            "smoke", ("digits",), images=384, validation_images=128, test_images=128, halved=False,
            stages=((8, 8), (16,)), epochs=3, batch_size=32, augmented=False, lrs=(0.1,), fine_tune=(0.3,), seeds=2,
            budgets=(Target("50 %", 0.5),), align=2, ablation_seeds=1, variants=("default", "as_known"),
            timing_rounds=10, workers=0, device="cpu",
        ),
        "cpu": Scale(
            "cpu", ("fashion_mnist", "cifar10_jpeg"), images=3000, validation_images=2000, test_images=2000,
            halved=True, stages=_THIN, epochs=6, batch_size=64, augmented=False, lrs=(0.03, 0.1, 0.3),
            fine_tune=(0.3, 1.0), seeds=5, budgets=_SHARES, align=4, ablation_seeds=3, variants=(),
            timing_rounds=100, workers=1, device="cpu",
        ),
        "gpu": Scale(
            "gpu", ("cifar10_jpeg",), images=-1, validation_images=5000, test_images=0, halved=False, stages=_VGG16,
            epochs=160, batch_size=128, augmented=True, lrs=(0.1,), fine_tune=(0.1,), seeds=3,
            budgets=(Target("headline", 0.238, 0.059),), align=8, ablation_seeds=0, variants=(), timing_rounds=100,
            workers=0, device="auto", precision="bfloat16",
        ),
        "headline": _HEADLINE,
        "headline_full": replace(
            _HEADLINE, name="headline_full", stages=_VGG16, seeds=1, arms=("ours", "rank_equal", "dense")
        ),
    }
)  # fmt: skip
"""The scales. The rates of the headline are those that the scale cpu chose for its images of `cifar10_jpeg`."""
