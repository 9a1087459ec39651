"""The stages of an ensemble: hatched from the trained network, calibrated, exported and measured."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from linnet.data import cifar10_jpeg as read_cifar
from linnet.data import fashion_mnist, mnist
from linnet.engine import FitResult, derive_seed, save
from linnet.ensemble import Hatch, HatchEnsemble, Shift, evaluate, hatch
from linnet.ensemble.evaluation.report import Report
from linnet.errors import DataError, RecipeError
from linnet.recipe.plan import Built, Plan
from linnet.recipe.uncertainty_facts import pictured
from linnet.results import Record, atomic_write

ENSEMBLE, CALIBRATION, ONNX, UNCERTAINTY = (
    "ensemble.safetensors", "calibration.json", "ensemble.onnx", "uncertainty.json"
)  # fmt: skip
_OUTSIDE = {"mnist": mnist, "fashion_mnist": fashion_mnist, "cifar10_jpeg": read_cifar}
SEED, POOL = "seed", "ensemble"


class EnsembleWork:
    """What the stages of an ensemble need; made on first use.

    Args:
        plan: Has [hatch].
        built: The task, made ready.
        folder: Of the run.

    Raises:
        RecipeError: the task has no classes to be unsure about.
    """

    def __init__(self, plan: Plan, built: Built, folder: Path) -> None:
        if built.held_out is None or built.example is None:
            raise RecipeError(
                f'[hatch] needs a task with classes (got "{plan.task.name}"). Remove the section, or give '
                "`Built(example=..., held_out=...)` in the task."
            )
        assert plan.hatch is not None
        self.plan, self.built, self.folder = plan, built, folder
        self.section, self.held_out = plan.hatch, built.held_out
        self.result: FitResult | None = None

    def listener(self) -> Hatch | None:
        """What hatches in the middle of [train]; None when it is done afterwards."""
        section = self.section
        if section.at is None:
            return None
        return Hatch(
            self.built.example,
            at=section.at,
            members=section.members,
            lr=section.lr,
            rng_seed=self.rng_seed("hatch"),
            **section.options(),
        )

    @cached_property
    def ensemble(self) -> HatchEnsemble:
        """The members, trained; gone on with, or read from the last checkpoint, when the run was killed."""
        assert self.result is not None
        if isinstance(self.result.model, HatchEnsemble):
            return self.result.model.eval()
        section, built = self.section, self.built
        ensemble = hatch(
            self.result.model,
            built.example,
            section.members,
            rng_seed=self.rng_seed("hatch"),
            data=built.loader.epoch(0),  # type: ignore[arg-type]  its first batches are read
            **section.options(),
        )
        assert section.epochs is not None
        ensemble.fit(
            built.loader,
            epochs=section.epochs,
            lr=section.lr,
            compute=self.plan.train.compute(),
            folder=self.folder / "checkpoints-hatch",
            checkpoint_every=self.plan.train.checkpoint_every,
            grad_clip=self.plan.train.grad_clip,
            rng_seed=self.rng_seed("members"),
            progress="auto",
        )
        return ensemble

    @cached_property
    def calibrated(self) -> HatchEnsemble:
        """The same members with a temperature, and with prediction sets where [calibrate] asks for them."""
        ensemble, section = self.ensemble, self.plan["calibrate"]
        if section is not None:
            images, labels = self.held_out.validation
            half = len(labels) // 2  # the temperature and the sets each have their own images
            prepared = self.held_out.prepare(images)
            self._facts = vars(ensemble.calibrate((prepared[:half], labels[:half])))
            sets = ensemble.conformalize((prepared[half:], labels[half:]), section.alpha, section.method)
            with torch.no_grad():
                tested = self.held_out.prepare(self.held_out.test[0]).split(256)
                probs = torch.cat([ensemble(x).probs for x in tested])  # type: ignore[union-attr]
            coverage, size = sets.coverage(probs, self.held_out.test[1])
            self._facts |= {"alpha": section.alpha, "test_coverage": coverage, "test_set_size": size}
        return ensemble

    def save(self) -> None:
        """Writes the members."""
        save(self.ensemble, self.folder / ENSEMBLE)

    def save_calibration(self) -> None:
        """Writes what calibration found, and the ensemble with its temperature."""
        save(self.calibrated, self.folder / ENSEMBLE)
        atomic_write(self.folder / CALIBRATION, json.dumps(self._facts, indent=2) + "\n")

    def export(self) -> None:
        """Writes the ONNX file."""
        self.calibrated.export(self.folder / ONNX, self.built.example)

    def records(self) -> list[Record]:
        """What the seed and the ensemble are worth, and the file that the report's pictures are drawn from."""
        reports = {POOL: self._report(self.calibrated, POOL)}
        assert self.result is not None
        if not isinstance(self.result.model, HatchEnsemble):
            reports = {SEED: self._report(self.result.model.eval(), SEED), **reports}
        facts = pictured(self.calibrated, reports, self.held_out, self._outside())
        facts["costs"] = self._costs(self.result)
        atomic_write(self.folder / UNCERTAINTY, json.dumps(facts))
        found = [record for report in reports.values() for record in report.records(facts={"split": "test"})]
        kept = [record for record in found if not record.name.startswith("shifted/")]  # the picture has each of those
        # Seed and ensemble stand side by side in a table when nothing but their method tells them apart.
        own = ("members", "temperature")
        kept = [replace(one, context={k: v for k, v in one.context.items() if k not in own}) for one in kept]
        seed = self.plan.train.rng_seed
        return kept + [
            Record.measured("temperature", report.temperature, method=method, split="validation", rng_seed=seed)
            for method, report in reports.items()
            if report.temperature is not None
        ]

    def _report(self, model: Any, method: str) -> Report:
        section, held = self.plan["evaluate"], self.held_out
        clean, labels = held.test[0].float() / 255, held.test[1]
        options = {
            "validation": (held.validation[0].float() / 255, held.validation[1]),
            "prepare": held.prepare,
            "method": method,
            "rng_seed": self.plan.train.rng_seed,
        }
        whole = evaluate(model, (clean, labels), ood=self._outside(), **options)
        if section is None or section.suite == "none":
            return whole
        few = clean[: section.images], labels[: section.images]
        part = evaluate(model, few, Shift(section.suite, section.severities), **options)
        shifted = {name: measures for name, measures in part.metrics.items() if name.startswith("shifted")}
        return replace(
            whole,
            metrics={**whole.metrics, **shifted},
            n={**whole.n, **{name: part.n[name] for name in shifted}},
        )

    def _outside(self) -> Tensor:
        """Images in 0..1 that belong to no class.

        Raises:
            DataError: the set of `ood` has images of another size.
        """
        section, held = self.plan["evaluate"], self.held_out
        images = held.test[0]
        if section is None or section.ood == "shuffled":
            generator = torch.Generator().manual_seed(self.rng_seed("ood"))
            flat = images.flatten(2).float() / 255
            order = torch.rand(len(flat), 1, flat.shape[2], generator=generator).argsort(2)
            return flat.gather(2, order.expand_as(flat)).reshape(images.shape)
        root = None if section.ood_path is None else self.plan.beside(section.ood_path)
        found = _OUTSIDE[section.ood]("test", root=root).images
        if found.shape[1:] != images.shape[1:]:
            raise DataError(
                f"[evaluate] `ood` must have images of the shape {tuple(images.shape[1:])} (got "
                f'{tuple(found.shape[1:])} of "{section.ood}"). Give another set, or "shuffled".'
            )
        return found[: len(images)].float() / 255

    def _costs(self, result: FitResult) -> dict[str, Any]:
        """MACs that were spent until each epoch, beside the validation's NLL there."""
        widenings = [one for one in self.calibrated.widenings if one is not None]
        images = len(self.built.loader) * self.plan.train.batch_size
        one, pool = widenings[0].macs[0], sum(widening.macs[1] for widening in widenings)
        rows = [(epoch.epoch + 1, epoch.validation["nll"]) for epoch in result.history if "nll" in epoch.validation]
        seed = [[3.0 * one * images * count, nll] for count, nll in rows]
        extra = 3.0 * pool * images * (self.section.epochs or 0)
        total = 3.0 * one * images * self.plan.train.epochs + extra
        return {"seed": seed, "total": total}

    def rng_seed(self, word: str) -> int:
        """The seed of one of its draws: "hatch", "members", "ood"."""
        return derive_seed(self.plan.train.rng_seed, word)
