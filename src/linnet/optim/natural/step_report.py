"""The facts of a natural gradient's last step: numbers, and how every parameter was treated."""

from collections.abc import Mapping
from dataclasses import dataclass

from linnet.optim.natural.approximation import Direction
from linnet.optim.natural.isotropy import Isotropy


@dataclass(frozen=True)
class StepReport:
    """The last step. `print(report)` shows it as a table.

    Attributes:
        step: Number of steps made.
        loss: Before the update, in linnet's units.
        alpha: alpha of K = alpha I: from theory at damping 0, else measured.
        isotropy_error: |K r - alpha r| / |alpha r|, when it was last measured; NaN before.
        lr: eta of the first group.
        step_kl: KL between the outputs' distributions before and after, to second order, in nats per sample; NaN where
            it wasn't measured.
        covered: Parameter name -> how its curvature was computed.
        uncovered: Parameter name -> why it has none.
        route: How the system was solved.
        seconds: Duration of the whole step.
        skipped: Steps so far that met NaN or infinity and changed nothing.
        notes: Further remarks.
    """

    step: int
    loss: float
    alpha: float
    isotropy_error: float
    lr: float
    step_kl: float
    covered: Mapping[str, str]
    uncovered: Mapping[str, str]
    route: str
    seconds: float
    skipped: int = 0
    notes: tuple[str, ...] = ()

    def __str__(self) -> str:
        facts = [
            ("step", str(self.step)),
            ("loss before it", f"{self.loss:.6g}"),
            ("alpha", f"{self.alpha:.6g}"),
            ("isotropy error", f"{self.isotropy_error:.2e}"),
            ("lr (eta)", f"{self.lr:.4g}"),
            ("KL of the step (nat)", f"{self.step_kl:.3g}"),
            ("route", self.route),
            ("seconds", f"{self.seconds:.3g}"),
            ("skipped steps", str(self.skipped)),
        ]
        rows = [*facts, *(("note", note) for note in self.notes)]
        rows += [(name, how) for name, how in self.covered.items()]
        rows += [(name, f"NOT COVERED: {why}") for name, why in self.uncovered.items()]
        width = max(len(name) for name, _ in rows)
        return "\n".join(f"{name:<{width}}  {value}" for name, value in rows)


def report_of(
    direction: Direction,
    known: Isotropy,
    measured: Isotropy | None,
    *,
    step: int,
    loss: float,
    alpha: float,
    eta: float,
    seconds: float,
    skipped: int,
    notes: tuple[str, ...],
) -> StepReport:
    """The report of a step that was made.

    Args:
        direction: What was done.
        known: Isotropy as it was last measured.
        measured: Isotropy of this step, where it was measured.
        step: Number of steps made.
        loss: Before the update.
        alpha: See `StepReport`, like `seconds` and `skipped`.
        eta: Step size of the first group.
        seconds: Duration.
        skipped: Steps skipped so far.
        notes: Of the settings.
    """
    return StepReport(
        step=step,
        loss=loss,
        alpha=alpha,
        isotropy_error=known.error,
        lr=eta,
        step_kl=eta * eta * measured.kl_per_eta2 if measured else float("nan"),
        covered=direction.covered,
        uncovered=direction.uncovered,
        route=direction.route,
        seconds=seconds,
        skipped=skipped,
        notes=(*direction.notes, *notes),
    )
