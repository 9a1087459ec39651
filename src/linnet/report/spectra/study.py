"""What is measured of one network, as records, pictures and a page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import torch
from markupsafe import Markup
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from torch import Tensor, nn

from linnet.errors import InputError
from linnet.report import Section, figure, page, table, tiles
from linnet.report.spectra.figures import direction_images, eigenvalue_histogram
from linnet.results import Record, atomic_path, atomic_write, write_records
from linnet.spectra import (
    MeanField,
    SafeLR,
    Spectrum,
    VerifiedLR,
    feature_metric,
    fisher,
    input_metric,
    ntk,
    steepest_directions,
    theory_for,
    verify_lr,
)
from linnet.spectra.kernel_engine import MEMORY
from linnet.spectra.rows.jacobian_rows import Progress, free_bytes
from linnet.spectra.safe_step import step_of
from linnet.suggest import one_of

KINDS = ("fisher", "ntk", "input")
_TOP, _IMAGES, _STEPS = 10, 6, 30
_THEORY = "spectrum.theory."


@dataclass
class SpectrumStudy:
    """What was measured of one network.

    Attributes:
        name: Of the network.
        loss: "mse" or "cross_entropy".
        samples: N.
        spectra: What -> its spectrum.
        lines: What is printed.
        records: One for each number.
        pictures: Name -> (picture, caption).
        safe: The step size.
        theory: Of a network of this shape, where asked for.
        tried: What training just below and just above the step size did, where asked for.
    """

    name: str
    loss: str
    samples: int
    spectra: dict[str, Spectrum] = field(default_factory=dict)
    lines: list[str] = field(default_factory=list)
    records: list[Record] = field(default_factory=list)
    pictures: dict[str, tuple[Figure, str]] = field(default_factory=dict)
    safe: SafeLR | None = None
    theory: MeanField | None = None
    tried: VerifiedLR | None = None


def measure(
    name: str,
    model: nn.Module,
    x: Tensor,
    loss: str,
    what: Sequence[str],
    *,
    compare_theory: bool = False,
    verify: bool = False,
    memory: int | None = None,
    progress: Progress | None = None,
) -> SpectrumStudy:
    """Measures a network.

    Args:
        name: How the page calls it.
        model: In eval mode.
        x: Inputs.
        loss: "mse" or "cross_entropy".
        what: "fisher", "ntk", "input", "feature:LAYER".
        compare_theory: Beside the mean-field theory of a perceptron.
        verify: Trains copies of the network just below and just above the step size, 30 steps each.
        memory: Bytes for captured tensors and work; None: a quarter of what is free.
        progress: Of the kernel.

    Raises:
        InputError: as the functions of `linnet.spectra` have it.
    """
    study = SpectrumStudy(name, loss, len(x))
    room = memory if memory is not None else max(MEMORY, free_bytes(x.device) // 4)
    if compare_theory:
        study.theory = theory_for(model, x, loss)
    for kind in what:
        if kind == "fisher":
            _fisher(study, model, x, room, progress)
            if verify:
                _verify(study, model, x)
        elif kind == "ntk":
            _ntk(study, model, x, room)
        elif kind == "input":
            _signal(study, "input", input_metric(model, x, loss))
            _directions(study, model, x)
        elif kind.startswith("feature:"):
            _signal(study, kind, feature_metric(model, x, kind.removeprefix("feature:"), loss))
        else:
            one_of("what", kind, (*KINDS, "feature:LAYER"))
    return study


def write(study: SpectrumStudy, out: Path, *, command: str) -> Path:
    """Records, pictures (PNG) and the page; gives the page's path.

    Args:
        study: What was measured.
        out: Folder, made where it is missing.
        command: What was typed.
    """
    (out / "pictures").mkdir(parents=True, exist_ok=True)
    write_records(out / "records.jsonl", study.records)
    for name, (picture, _) in study.pictures.items():
        FigureCanvasAgg(picture)
        with atomic_path(out / "pictures" / f"{name}.png") as path:
            picture.savefig(path, format="png", dpi=110, metadata={"Software": None})
    return atomic_write(out / "report.html", html(study, command))


def html(study: SpectrumStudy, command: str) -> str:
    """The study as one self-contained page."""
    lead = [("samples N", str(study.samples))]
    if "fisher" in study.spectra:
        found = study.spectra["fisher"]
        centred = next(r.value for r in study.records if r.name == "spectrum.centered_max")
        lead += [
            ("parameters P", f"{found.source.size:,}"),
            ("largest eigenvalue", f"{found.max:.4g}"),
            ("with centred outputs", f"{centred:.4g}"),
            ("safe step size", f"{float(study.safe):.4g}" if study.safe else "-"),
        ]
    sections = [
        Section(_TITLES.get(name, name), [figure(picture, alt=text, caption=text)], lead="")
        for name, (picture, text) in study.pictures.items()
    ]
    if study.theory is not None and "fisher" in study.spectra:
        sections.append(_beside_theory(study, study.theory))
    sections.append(_numbers(study))
    if "fisher" in study.spectra:
        sections.append(_costs(study.spectra["fisher"]))
    sections.append(Section("How to read this", list(_READING)))
    first = study.records[0]
    facts = [("Command", command), ("Machine", first.machine), ("Commit", first.commit)]
    return page(f"Spectra of {study.name}", sections, lead=tiles(lead), facts=facts)


_TITLES: Mapping[str, str] = {
    "eigenvalues": "Eigenvalues of the Fisher matrix",
    "lr_map": "Where training goes down",
    "directions": "The direction of each input that moves the outputs most",
    "ntk": "Eigenvalues of the neural tangent kernel",
}
_READING = (
    "The Fisher matrix F = J^T Q J / N (equally: the Gauss-Newton part of the loss's Hessian) says how steep the "
    "loss is "
    "in each direction of the parameters. Q is 1 for half squares and diag(p) - p p^T for cross entropy.",
    "A few outliers hold most of the steepness: moving all outputs of a class together, for all samples. The bulk "
    "belongs "
    "to differences between samples. Taking each output's mean over the samples away (last-layer centring) removes the "
    "outliers.",
    "Gradient descent with a step above 2 / lambda_max leaves the neighbourhood of a minimum at first; the safe "
    "step is that limit for the full batch, without momentum. For nn.MSELoss() multiply it by C / 2. Where it was "
    "tried, copies of the network were trained near a zero of the loss, at its own outputs, at 0.9 and at 1.1 of it.",
    "Zero eigenvalues, P less the number of rows at least, count in the mean and in the second moment.",
)  # fmt: skip


def _fisher(study: SpectrumStudy, model: nn.Module, x: Tensor, memory: int, progress: Progress | None) -> None:
    found = fisher(model, x, study.loss, memory=memory, progress=progress)
    study.spectra["fisher"] = found
    centred = found.centered().max
    study.safe = step_of(found)
    top = found.eigenvalues[:_TOP].tolist()
    study.lines += [
        f"Fisher matrix ({study.loss}): P = {found.source.size:,}, N = {found.source.samples:,}; "
        f"{len(found.eigenvalues):,} eigenvalues above 0",
        f"  mean           {found.mean:.5g}",
        f"  second moment  {found.second_moment:.5g}",
        f"  largest ten    {', '.join(f'{value:.4g}' for value in top)}",
        f"lambda_max {found.max:.4g}; with last-layer centring {centred:.4g}; safe step {study.safe}",
        str(found.method),
    ]
    facts = {"n": len(x), "context": {"loss": study.loss, "network": study.name}}
    study.records += [
        Record.measured("spectrum.mean", found.mean, **facts),
        Record.measured("spectrum.second_moment", found.second_moment, **facts),
        Record.measured("spectrum.centered_max", centred, **facts),
        Record.measured(
            "spectrum.safe_lr", float(study.safe), interval=(study.safe.lo, study.safe.hi), level=0.95, **facts
        ),
    ]
    study.records += [
        Record.measured(f"spectrum.top.{number}", value, **facts) for number, value in enumerate(top, start=1)
    ]
    title = f"{study.name}, {study.loss}, N = {len(x)}"
    picture = eigenvalue_histogram(found.eigenvalues.tolist(), study.theory, title=title)
    study.pictures["eigenvalues"] = picture, "Number of eigenvalues in each bin, both axes logarithmic"
    if study.theory is not None:
        compared = found.compare(study.theory)
        study.lines += [str(study.theory), str(compared)]
        study.records += [
            Record.measured(f"{_THEORY}{quantity.replace(' ', '_')}", expected, context={"measured": ours})
            for quantity, ours, expected, _ in compared.rows
        ]


def _verify(study: SpectrumStudy, model: nn.Module, x: Tensor) -> None:
    assert study.safe is not None
    study.tried = verify_lr(model, x, study.safe, loss=study.loss, steps=_STEPS)
    study.lines.append(f"the safe step, {study.tried}")
    study.records += [
        Record.measured(f"spectrum.verified.{name}", value, context={"lr": trial.lr})
        for name, trial, value in (
            ("below", study.tried.below, study.tried.below.last),
            ("above", study.tried.above, min(study.tried.above.peak, 1e300)),  # what isn't finite has no JSON
        )
    ]


def _ntk(study: SpectrumStudy, model: nn.Module, x: Tensor, memory: int) -> None:
    values = torch.linalg.eigvalsh(ntk(model, x, memory=memory).double()).flip(0)
    study.lines.append(f"NTK (no 1/N): mean {float(values.mean()):.5g}, max {float(values[0]):.5g}")
    study.records += [
        Record.measured("ntk.mean", float(values.mean()), n=len(x)),
        Record.measured("ntk.max", float(values[0]), n=len(x)),
    ]
    picture = eigenvalue_histogram([v for v in values.tolist() if v > 1e-7 * float(values[0])])
    study.pictures["ntk"] = picture, "Eigenvalues of the neural tangent kernel J J^T, without 1/N"


def _signal(study: SpectrumStudy, kind: str, found: Spectrum) -> None:
    study.spectra[kind] = found
    study.lines.append(f"metric of {kind}: d = {found.source.size:,}, mean {found.mean:.5g}, max {found.max:.5g}")
    study.records += [
        Record.measured(f"metric.{kind}.mean", found.mean, n=study.samples),
        Record.measured(f"metric.{kind}.max", found.max, n=study.samples),
    ]
    if study.theory is not None and kind == "input":
        expected = study.theory.metric(0).max
        study.lines.append(
            f"  theory: max {expected:.4g}, a gap of {found.max / expected - 1:+.0%} (slow in the width)"
        )


def _directions(study: SpectrumStudy, model: nn.Module, x: Tensor) -> None:
    if x.ndim < 3:
        return
    some = x[:_IMAGES]
    found = steepest_directions(model, some, study.loss)
    picture = direction_images(some.cpu().numpy(), found.vectors.cpu().numpy(), found.values.tolist())
    study.pictures["directions"] = (
        picture,
        "Inputs, and below each the direction that moves the outputs most (its gain)",
    )


_WORDS: Mapping[str, str] = {
    "spectrum.mean": "mean eigenvalue, tr F / P",
    "spectrum.second_moment": "second moment, tr F^2 / P",
    "spectrum.centered_max": "largest eigenvalue of the centred outputs",
    "spectrum.safe_lr": "safe step size, 2 / lambda_max",
    "spectrum.verified.below": "last loss over the first at 0.9 of the safe step",
    "spectrum.verified.above": "highest loss over the first at 1.1 of the safe step",
    "ntk.mean": "mean eigenvalue of the NTK",
    "ntk.max": "largest eigenvalue of the NTK",
}


def _numbers(study: SpectrumStudy) -> Section:
    rows = [[_in_words(record.name), record.value] for record in study.records if not record.name.startswith(_THEORY)]
    return Section(
        "Numbers", [table(["quantity", "value"], rows, caption="What was measured; records.jsonl has it all")]
    )


def _in_words(name: str) -> str:
    """A record's name as a reader says it."""
    if name.startswith("spectrum.top."):
        return f"eigenvalue {name.removeprefix('spectrum.top.')}"
    if name.startswith("metric."):
        kind, _, what = name.removeprefix("metric.").rpartition(".")
        return f"{'mean' if what == 'mean' else 'largest'} eigenvalue of the metric of {kind}"
    return _WORDS.get(name, name)


def _beside_theory(study: SpectrumStudy, theory: MeanField) -> Section:
    rows = [
        [r.name.removeprefix(_THEORY).replace("_", " "), float(r.context["measured"]), r.value]
        for r in study.records
        if r.name.startswith(_THEORY)
    ]
    known = [[quantity, formula, _unbroken(value), why] for quantity, formula, value, why in theory.table()]
    return Section(
        "Beside mean-field theory",
        [
            "Mean-field theory expects this of perceptrons of the same shape with random weights, as the width M "
            "grows. alpha M kappa_1 is the squared length of an output's gradient at one sample, and alpha M kappa_2 "
            "its inner product with that at another sample; alpha is the number of hidden layers where all widths are "
            "equal. The outliers come from kappa_2, the bulk from kappa_1 - kappa_2.",
            "N is the number of samples, C that of outputs. qh_1 is the mean square of a layer's signals and qt_1 "
            "that of the gradients that come back to it, in the theory's units; qh_2 and qt_2 are the mean products "
            "between two samples. kbar = (N-1)/N kappa_2 + kappa_1/N. kappa' and kt are the same sums for the neural "
            "tangent kernel and for the gradient in the input; p are the softmax probabilities and Q = diag(p) - p "
            "p^T.",
            table(["quantity", "measured", "theory"], rows, caption="This network beside the theory of its shape"),
            table(["quantity", "formula", "value", "assumption"], known, caption="What the theory says, and when"),
        ],
    )


def _unbroken(value: str) -> Markup:
    """Numbers that a narrow page doesn't break within."""
    return Markup(", ").join(Markup('<span style="white-space: nowrap">{}</span>').format(n) for n in value.split(", "))


def _costs(found: Spectrum) -> Section:
    method = found.method
    rows = [
        [
            cost.name or "(root)",
            cost.way,
            cost.wall_s,
            cost.positions_cost / 1e9 or None,
            cost.gradients_cost / 1e9 or None,
        ]
        for cost in method.layers
    ]
    columns = ["layer", "contraction", "seconds", "cost by positions", "by gradients"]
    head = f"Route {method.route}: {method.wall_s:.2f} s, {method.peak_bytes / 2**20:,.0f} MiB held at most."
    told = table(columns, rows, caption="Costs in 10^9 multiply-accumulates, as the choice weighs them")
    return Section("How it was computed", [head, told] if rows else [head])


def check_kinds(what: Sequence[str]) -> None:
    """Refuses a word that names nothing to measure.

    Raises:
        InputError: it is named, with the known ones.
    """
    for kind in what or ("",):
        if kind not in KINDS and not kind.startswith("feature:"):
            raise InputError(f"`what` must be one of {', '.join(KINDS)}, or feature:LAYER (got {kind!r}).")
