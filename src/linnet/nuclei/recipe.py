"""The task "nuclei" of a recipe: a nucleus detector from a nucleus set, measured on pictures it never saw."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any, Literal

import torch
from torch import nn

from linnet.data import data_root
from linnet.data.augmentation.artefacts import Artefacts
from linnet.data.nuclei import NucleusImage, read_nucleus_set, split_digest
from linnet.engine import derive_seed
from linnet.errors import InputError
from linnet.nuclei.detector.detector import Detector
from linnet.nuclei.detector.files import new_network
from linnet.nuclei.scoring.scores import Evaluation, evaluate
from linnet.nuclei.training.crops import Annotated, CropLoader
from linnet.nuclei.training.crowded import crowded
from linnet.nuclei.training.folder_set import read_folder_set
from linnet.nuclei.training.known_pictures import knowing
from linnet.nuclei.training.negatives import negatives
from linnet.nuclei.training.targets import median_spacing
from linnet.nuclei.training.task import NucleusTask, choose_thresholds
from linnet.recipe.plan import Built, Plan, RecipeTask
from linnet.recipe.toml.setting import setting
from linnet.results import Record, commit

RADIUS_PX = 5.0
_LICENCES = {
    "nuclei_dsb2018": "CC0-1.0",
    "nuclei_dsb2018_more": "CC0-1.0",
    "nuclei_tnbc": "CC BY 4.0 (Naylor et al. 2019)",
}


@dataclass(frozen=True)
class NucleusData:
    """[data] of a nucleus detector.

    Attributes:
        path: Folder of a nucleus set; None: `nuclei_dsb2018` where `linnet.data.data_root` finds it.
        images: Folder of images of your own, in place of `path`.
        points: Folder with a file of points for each of them.
        batches: Batches in an epoch.
        side: Side of a crop in pixels.
        balance: Kinds of image are drawn with probability ~ their number to this power.
        target: What the map looks like between close nuclei.
        more: Further nucleus sets, by their names beside the first one; each keeps its own split.
        scale: Log-range of the random magnification.
        artefacts: Whether crops get colour maps, dust, hot pixels, JPEG and uneven light.
        negatives: Whether pictures without a nucleus are trained on too, as a separate group.
        crowded: Whether drawn pictures of crowded tissue in fluorescence are trained on too, as a separate group.
    """

    path: str | None = setting("folder of a nucleus set, relative to the recipe's", default=None, is_path=True)
    images: str | None = setting("folder of your own images, in place of path", default=None, is_path=True)
    points: str | None = setting("folder with a file of points for each of them", default=None, is_path=True)
    batches: int = setting("batches in an epoch", default=500, at_least=1)
    side: int = setting("side of a crop in pixels", default=128, at_least=32, at_most=1024)
    balance: float = setting("1 draws kinds of image by their number, 0 all alike", default=0.5, at_least=0, at_most=1)
    target: Literal["proximity", "repel"] = setting("shape of the map between close nuclei", default="proximity")
    more: tuple[str, ...] = setting("further nucleus sets, by their names beside the first one", default=())
    scale: float = setting("log-range of the random magnification", default=0.45, at_least=0, at_most=2)
    artefacts: bool = setting("crops get colour maps, dust, hot pixels, JPEG and uneven light", default=False)
    negatives: bool = setting("pictures without a nucleus are trained on too", default=False)
    crowded: bool = setting("drawn pictures of crowded tissue are trained on too", default=False)


@dataclass(frozen=True)
class NucleusModel:
    """[model] of a nucleus detector.

    Attributes:
        preset: The network.
        sizes: Whether it regresses the diameters of the nuclei too.
    """

    preset: Literal["small", "paper"] = setting("the network", default="small")
    sizes: bool = setting("the network regresses the diameters of the nuclei too (preset small)", default=False)


@dataclass
class _Measured:
    """Thresholds and scores of the trained network; found once, when the run first asks."""

    plan: Plan
    images: list[NucleusImage]
    validation: list[Annotated]
    _detector: Detector | None = field(default=None, repr=False)
    _scores: dict[str, Evaluation] = field(default_factory=dict, repr=False)

    def save(self, network: nn.Module, path: Path) -> Path:
        return self._finished(network).save(path)

    def records(self, network: nn.Module) -> list[Record]:
        detector = self._finished(network)
        facts = {"rng_seed": self.plan.train.rng_seed, "command": ""}
        parameters = sum(p.numel() for p in detector.network.parameters())
        records = [Record.measured("parameters", parameters, **facts)]
        for split in ("validation", "test"):
            known = [group for group in self._groups() if self._part(split, group)[1]]
            records += [r for group in known for r in self._of_group(split, group, facts)]
        return records

    def _finished(self, network: nn.Module) -> Detector:
        if self._detector is None:
            preset = self.plan["model"].preset
            raw = Detector(network.cpu(), preset)
            thresholds = choose_thresholds(raw, self.validation, RADIUS_PX)
            judged = Detector(raw.network, preset, thresholds)
            for split, name in (("val", "validation"), ("test", "test")):
                self._scores[name] = _score(judged, [i for i in self.images if i.split == split])
            learned = [i for i in self.images if i.split in ("train", "val")]
            finished = Detector(
                raw.network,
                preset,
                thresholds,
                card=self._card(),
                spacing_px=median_spacing(i.points for i in self.images if i.split == "train"),
            )
            self._detector = knowing(finished, ((i.pixels(), i.mosaic_id) for i in learned))
        return self._detector

    def _card(self) -> dict[str, Any]:
        training = [i for i in self.images if i.split == "train"]
        sets = sorted({_name(i.path.parents[1]) for i in self.images})
        return {
            "data": ", ".join(sets),
            "licence": ", ".join(dict.fromkeys(_LICENCES.get(name, "that of the data") for name in sets)),
            "split_digest": split_digest(self.images),
            "date": date.today().isoformat(),
            "commit": commit(),
            "recipe": self.plan.path.name,
            "rng_seed": self.plan.train.rng_seed,
            "training_images": len(training),
            "training_nuclei": sum(len(i.points) for i in training),
            "radius_px": RADIUS_PX,
            "metrics": {split: self._metrics(split) for split in self._scores},
        }

    def _metrics(self, split: str) -> dict[str, dict[str, float | int]]:
        table = {}
        for group in self._groups():
            scores, mosaics = self._part(split, group)
            if not mosaics:
                continue
            table[group] = {
                "images": len(scores.per_image),
                "pictures": len(set(mosaics.values())),
                "nuclei": scores.tp + scores.fn,
                "f1": round(scores.f1, 4),
                "precision": round(scores.precision, 4),
                "recall": round(scores.recall, 4),
            }
        return table

    def _groups(self) -> list[str]:
        return [*sorted({i.group for i in self.images}), "all"]

    def _part(self, split: str, group: str) -> tuple[Evaluation, dict[str, str]]:
        chosen = {i.image_id: i.mosaic_id for i in self.images if group in ("all", i.group)}
        scores = self._scores[split].of(set(chosen))
        return scores, {s.image: chosen[s.image] for s in scores.per_image}

    def _of_group(self, split: str, group: str, facts: dict[str, Any]) -> list[Record]:
        scores, mosaics = self._part(split, group)
        context = {"group": group, "images": len(mosaics), "pictures": len(set(mosaics.values()))}
        facts = {**facts, "split": split, "n": scores.tp + scores.fn, "context": context}
        lo, hi = scores.interval(mosaics)
        interval = (lo, hi) if lo <= hi else None  # NaN for a single picture
        return [
            Record.measured("f1", scores.f1, interval=interval, level=0.95, **facts),
            Record.measured("precision", scores.precision, **facts),
            Record.measured("recall", scores.recall, **facts),
            Record.measured("distance_mean", scores.distance_mean, unit="px", **facts),
            Record.measured("count_difference_mean", scores.count_difference_mean, unit="nuclei", **facts),
        ]


def _name(folder: Path) -> str:
    return folder.resolve().name


def _score(detector: Detector, images: list[NucleusImage]) -> Evaluation:
    truth = {i.image_id: i.points for i in images}
    return evaluate(truth, {i.image_id: detector(i.pixels()).points for i in images}, RADIUS_PX)


def _annotated(images: list[NucleusImage], split: str) -> list[Annotated]:
    return [Annotated(i.pixels(), i.points, i.group, diameters=i.diameters) for i in images if i.split == split]


def _images(plan: Plan, section: NucleusData) -> list[NucleusImage]:
    """The images that the recipe names: nucleus sets, or a folder of images and one of points."""
    if section.images is None and section.points is None:
        root = data_root() / "nuclei_dsb2018" if section.path is None else plan.beside(section.path)
        sets = (root, *(root.parent / name for name in section.more))
        return [image for folder in sets for image in read_nucleus_set(folder)]
    if section.images is None or section.points is None:
        given, missing = ("images", "points") if section.points is None else ("points", "images")
        raise InputError(f"`data.{missing}` must name a folder too, as `data.{given}` does.")
    if section.path is not None or section.more:
        raise InputError("`data.images` can't stand beside `data.path` or `data.more`. Keep one of them.")
    return read_folder_set(plan.beside(section.images), plan.beside(section.points))


def _build(plan: Plan) -> Built:
    section: NucleusData = plan["data"]
    images = _images(plan, section)
    preset, rng_seed = plan["model"].preset, plan.train.rng_seed
    with torch.random.fork_rng(devices=[]):  # a network is made on the CPU
        torch.manual_seed(derive_seed(rng_seed, "weights"))
        network = new_network(preset, sizes=plan["model"].sizes)
    validation = _annotated(images, "val")
    drawn = [
        *(negatives(derive_seed(rng_seed, "negatives")) if section.negatives else ()),
        *(crowded(derive_seed(rng_seed, "crowded")) if section.crowded else ()),
    ]
    loader = CropLoader(
        [*_annotated(images, "train"), *drawn],
        network.stride,  # pyright: ignore[reportArgumentType]
        batches=section.batches,
        batch_size=plan.train.batch_size,
        side=section.side,
        rng_seed=derive_seed(rng_seed, "batches"),
        balance=section.balance,
        target=section.target,
        scale=section.scale,
        artefacts=Artefacts() if section.artefacts else None,
        sizes=plan["model"].sizes,
    )
    measured = _Measured(plan, images, validation)
    return Built(
        model=network.to(memory_format=torch.channels_last),  # pyright: ignore[reportCallIssue]
        task=NucleusTask(validation, preset=preset),
        loader=loader,
        evaluate=measured.records,
        save=measured.save,
    )


TASK = RecipeTask(
    name="nuclei",
    sections={"data": NucleusData, "model": NucleusModel},
    build=_build,
    watch=("f1", "max"),
)
