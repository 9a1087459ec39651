"""[calibrate], [evaluate], [export]: what is done with a hatched ensemble."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from linnet.recipe.toml.setting import setting


def _needs_hatch(key: str, sections: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    if "hatch" in sections and sections["hatch"] is None:
        yield key, "this section needs an ensemble; add [hatch], such as members = 5 and epochs = 5"


@dataclass(frozen=True)
class CalibrateSection:
    """One temperature for the pooled members, and prediction sets, both from the validation images.

    Attributes:
        alpha: Share of cases in which a prediction set may miss the true class.
        method: How sets are made.
    """

    alpha: float = setting("share of cases that a set may miss", default=0.1, above=0, below=1)
    method: str = setting("how prediction sets are made", default="lac", choices=("lac", "aps", "raps"))

    def problems_with(self, sections: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
        """No ensemble."""
        yield from _needs_hatch("alpha", sections)


@dataclass(frozen=True)
class EvaluateSection:
    """What the ensemble is measured on besides the test images.

    Attributes:
        suite: Corruptions of the generated suite; "none" leaves them out.
        severities: Of the corruptions.
        images: Test images that are corrupted.
        ood: Images from outside of the distribution: "shuffled" are the test images with their pixels permuted.
        ood_path: Folder of the set of `ood`.
    """

    suite: str = setting("suite of corruptions", default="cifar15", choices=("cifar15", "extra4", "all19", "none"))
    severities: tuple[int, ...] = setting("of the corruptions", default=(1, 3, 5), at_least=1, at_most=5)
    images: int = setting("test images that are corrupted", default=500, at_least=10)
    ood: str = setting(
        "images from outside", default="shuffled", choices=("shuffled", "mnist", "fashion_mnist", "cifar10_jpeg")
    )
    ood_path: str | None = setting("folder of that set", default=None, is_path=True)

    def problems_with(self, sections: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
        """No ensemble."""
        yield from _needs_hatch("suite", sections)


@dataclass(frozen=True)
class ExportSection:
    """The ensemble in another form.

    Attributes:
        format: "onnx": one file with probabilities and both kinds of uncertainty.
    """

    format: str = setting("form of the file", default="onnx", choices=("onnx",))

    def problems_with(self, sections: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
        """No ensemble."""
        yield from _needs_hatch("format", sections)
