"""One training of a study: a network, its thresholds, and what it finds on the test images of every group."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import torch
from torch import nn

from linnet.data.augmentation.photometric import Photometric
from linnet.data.nuclei import NucleusImage
from linnet.engine import Average, Compute, Schedule, derive_seed, fit
from linnet.engine.trials.trial import Trial
from linnet.nuclei.detector.detector import Detector
from linnet.nuclei.detector.files import DEFAULT, load, new_network
from linnet.nuclei.scoring.scores import evaluate
from linnet.nuclei.training.crops import Annotated, CropLoader
from linnet.nuclei.training.task import NucleusTask, choose_thresholds
from linnet.nuclei.transfer.counts import FACT, Radius, as_fact, count
from linnet.nuclei.transfer.groups import Group, read_groups, spread
from linnet.nuclei.transfer.kept import keeping, kept_network
from linnet.nuclei.transfer.plan import StudyPlan
from linnet.nuclei.transfer.trainings import VALIDATION
from linnet.results import Record

SCRATCH_LR, TUNED_LR = 3e-3, 5e-4  # as `linnet.nuclei.train` has them
_BALANCE = {"pooled": 1.0, "unaugmented": 1.0, "sqrt": 0.5, "even": 0.0, "weighted": 0.0}
_NETWORKS = "networks"


def run_training(trial: Trial, *, plan: StudyPlan, out: Path) -> Record:
    """Does one training and tests it.

    Args:
        trial: Which.
        plan: The study.
        out: The study's folder; networks that others start from are kept in it.

    Returns:
        The record: F1 on the trial's own group (else the mean over all), the counts of every test picture, and facts.
    """
    began = time.perf_counter()
    with _threads(plan.settings.threads):
        study = _Study(plan, out)
        learned = study.learned(trial)
        tested = study.tested(learned.detector, study.targets(trial))
    own = str(trial.settings.get("group", ""))
    f1 = {group: counts["px"].f1 for group, counts in tested.items()}
    value = f1[own] if own else sum(f1.values()) / len(f1)
    facts = {
        **{f"f1_{group}": round(score, 4) for group, score in f1.items()},
        **learned.facts,
        VALIDATION: json.dumps(study.validated(learned.detector) if trial.stage == "alone" else {}),
        FACT: as_fact(tested),
        "scale": plan.scale,
        "wall_s": round(time.perf_counter() - began, 2),
    }
    return Record.measured(
        f"nuclei.study.{trial.stage}",
        value,
        n=sum(len(counts["px"].pictures) for group, counts in tested.items() if own in ("", group)),
        rng_seed=int(trial.settings["seed"]),
        split="test",
        context=facts,
        command=f"linnet nuclei study {plan.path.name} --scale {plan.scale}",
    )


def network_file(out: Path, trial: Trial) -> Path:
    """Where the network of a trial that others start from is kept."""
    return out / _NETWORKS / f"{trial.stage}-{hashlib.sha256(trial.key.encode()).hexdigest()[:12]}.safetensors"


def shot_images(group: Group, k: int, seed: int) -> list[NucleusImage]:
    """k training images of distinct pictures; those of a smaller k are among those of a larger one."""
    pictures = group.pictures("train")
    ordered = sorted(pictures, key=lambda picture: derive_seed(seed, "shots", picture))[:k]
    first = {image.mosaic_id: image for image in reversed(spread(group.of("train"), 0))}
    return [first[picture] for picture in ordered]


@dataclass(frozen=True)
class _Learned:
    """A detector and the facts of its training."""

    detector: Detector
    facts: Mapping[str, Any]


@dataclass(frozen=True)
class _Mix:
    """Images to learn from and how they are drawn.

    Attributes:
        images: With the kinds that are balanced as their groups.
        judges: Images that choose the thresholds.
        balance: As of `CropLoader`.
        augmented: Whether brightness and stain are varied.
    """

    images: Sequence[Annotated]
    judges: Sequence[Annotated]
    balance: float = 0.5
    augmented: bool = True


@dataclass(frozen=True)
class _Study:
    plan: StudyPlan
    out: Path

    @property
    def groups(self) -> dict[str, Group]:
        return _groups(self.plan)

    def learned(self, trial: Trial) -> _Learned:
        """The detector of a trial; that of a source is read where its file lies, and made again where it doesn't."""
        if trial.stage == "shipped":
            return _Learned(load(DEFAULT), {"steps": 0, "images": 0, "nuclei": 0})
        mix = self._mix(trial)
        steps = self.plan.settings.shot_steps if trial.stage == "shots" else self.plan.settings.steps
        began = time.perf_counter()
        detector = self._fitted(trial, mix, steps)
        spent = time.perf_counter() - began
        if trial.stage in ("alone", "others"):
            path = network_file(self.out, trial)
            with keeping(path):
                path.parent.mkdir(parents=True, exist_ok=True)
                detector.save(path)
        facts = {"steps": steps, "images": len(mix.images), "nuclei": sum(len(i.points) for i in mix.images)}
        return _Learned(detector, {**facts, "train_s": round(spent, 2)})

    def targets(self, trial: Trial) -> list[str]:
        """Groups that a detector is tested on: all; after training on few images the target and its sources."""
        told = trial.settings
        if trial.stage != "shots" or told["start"] == "mixture":
            return list(self.groups)
        return [str(told["group"]), *([str(told["source"])] if told["start"] == "best" else [])]

    def tested(self, detector: Detector, names: Sequence[str]) -> dict[str, Any]:
        """Counts on the test images of groups."""
        most = self.plan.settings.test_images
        return {
            name: count(detector, self.groups[name].of("test", most), self.radii(self.groups[name])) for name in names
        }

    def validated(self, detector: Detector) -> dict[str, float]:
        """F1 on each group's validation images; where it has none on its training images, which no source sees."""
        found = {}
        for name in self.groups:
            images = self._judges([name])
            truth = {str(k): image.points for k, image in enumerate(images)}
            points = {str(k): detector(image.pixels, diameter_px=None).points for k, image in enumerate(images)}
            found[name] = round(evaluate(truth, points, self.plan.settings.radius_px).f1, 4)
        return found

    def radii(self, group: Group) -> dict[Radius, float]:
        """The two radii of a group in pixels."""
        return {"px": self.plan.settings.radius_px, "half": group.half_radius_px}

    def _annotated(self, name: str, split: str) -> list[Annotated]:
        most = {"train": self.plan.settings.train_images, "val": self.plan.settings.validation_images}[split]
        return [_annotated(self.plan, name, image.image_id) for image in self.groups[name].of(split, most)]

    def _mix(self, trial: Trial) -> _Mix:
        told = trial.settings
        name = str(told.get("group", ""))
        if trial.stage == "alone":
            return _Mix(self._annotated(name, "train"), self._judges([name]))
        if trial.stage == "others":
            rest = [other for other in self.groups if other != name]
            return _Mix(self._training(rest), self._judges(rest))
        if trial.stage == "mixture":
            weights = str(told["weights"])
            images, judges = self._training(self.groups), self._judges(self.groups)
            if weights == "weighted":
                images = [replace(image, group="target" if image.group == name else "others") for image in images]
                judges = self._judges([name])
            return _Mix(images, judges, _BALANCE[weights], augmented=weights != "unaugmented")
        seed, k = int(told["seed"]), int(told["k"])
        few = [_annotated(self.plan, name, i.image_id) for i in shot_images(self.groups[name], k, seed)]
        if not told["rehearsal"]:
            return _Mix(few, few)
        sources = [str(told["source"])] if told["start"] == "best" else [g for g in self.groups if g != name]
        rehearsed = [replace(image, group="source") for image in self._training(sources)]
        return _Mix([*(replace(image, group="target") for image in few), *rehearsed], few, balance=0.0)

    def _training(self, names: Sequence[str] | Mapping[str, Any]) -> list[Annotated]:
        return [image for name in names for image in self._annotated(name, "train")]

    def _judges(self, names: Sequence[str] | Mapping[str, Any]) -> list[Annotated]:
        """Validation images; the training images where there are none."""
        held = [image for name in names for image in self._annotated(name, "val")]
        return held or self._training(names)

    def _fitted(self, trial: Trial, mix: _Mix, steps: int) -> Detector:
        settings, seed = self.plan.settings, int(trial.settings["seed"])
        network, preset, rate = self._start(trial)
        loader = CropLoader(
            mix.images,
            int(network.stride),  # pyright: ignore[reportArgumentType]
            batches=steps,
            batch_size=settings.batch_size,
            side=settings.side,
            rng_seed=derive_seed(seed, "crops"),
            balance=mix.balance,
            photometric=Photometric() if mix.augmented else None,
        )
        result = fit(
            network,
            NucleusTask((), preset=preset),
            loader,
            optimizer=torch.optim.AdamW(network.parameters(), lr=rate, weight_decay=1e-2),
            epochs=1,
            schedule=Schedule("cosine", warmup_steps=max(1, min(100, steps // 10))),
            compute=Compute.pick(),
            grad_clip=1.0,
            rng_seed=derive_seed(seed, "fit"),
            average=Average(0.99),
            progress="off",
        )
        if result.averaged is not None:
            network.load_state_dict(result.averaged)
        raw = Detector(network.cpu().eval(), preset)
        return Detector(raw.network, preset, choose_thresholds(raw, mix.judges, settings.radius_px))

    def _start(self, trial: Trial) -> tuple[nn.Module, str, float]:
        """The network that a training begins with, its preset and the learning rate."""
        told, preset = trial.settings, self.plan.settings.preset
        start = told.get("start", "scratch")
        if start == "scratch":
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(derive_seed(int(told["seed"]), "weights"))
                network = new_network(preset)
            return network.to(memory_format=torch.channels_last), preset, SCRATCH_LR  # pyright: ignore[reportCallIssue]
        if start == "default":
            detector = load(DEFAULT)
        else:
            stage, group = ("alone", told["source"]) if start == "best" else ("others", told["group"])
            detector = self.source(Trial(stage, {"group": group, "seed": told["seed"]}))
        network = detector.network.requires_grad_(requires_grad=True)
        return network.to(memory_format=torch.channels_last), detector.preset, TUNED_LR  # pyright: ignore[reportCallIssue]

    def source(self, trial: Trial) -> Detector:
        """The network of a finished trial, from its file or trained again."""
        path = network_file(self.out, trial)
        return kept_network(path) if path.is_file() else self.learned(trial).detector


@cache
def _groups(plan: StudyPlan) -> dict[str, Group]:
    return read_groups(plan)


@cache
def _annotated(plan: StudyPlan, group: str, image_id: str) -> Annotated:
    image = next(image for image in _groups(plan)[group].images if image.image_id == image_id)
    return Annotated(image.pixels(), image.points, group)


@contextmanager
def _threads(count: int) -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)
