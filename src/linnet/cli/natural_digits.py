"""`linnet natural`: digits learnt by natural gradient in eight steps, along the line predicted before the first."""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from linnet.cli.next_step import closing

if TYPE_CHECKING:
    from markupsafe import Markup
    from torch import Tensor

    from linnet.report import Section

_IMAGES, _WIDTH, _C, _STEPS = 100, 512, 0.3, 8


@dataclass(frozen=True)
class Point:
    """The state of training before a step.

    Attributes:
        train: Measured loss, (1/2N) sum |f - y|^2, on the training images.
        test: On as many others.
        accuracy: On these.
        predicted_train: The law's prediction before the first step.
        predicted_test: The same for `test`.
        alpha: Of the step.
        isotropy_error: Of the step.
    """

    train: float
    test: float
    accuracy: float
    predicted_train: float
    predicted_test: float
    alpha: float
    isotropy_error: float


def natural(*, out: Annotated[Path, Parameter(alias="-o")] = Path("linnet-natural")) -> int:
    """See digits learnt by natural gradient, along the line that is computed before the first step.

    Needs no network and takes less than a minute; scikit-learn brings the digits.

    Args:
        out: Folder for the report; made when missing.
    """
    from linnet.report import page
    from linnet.results import atomic_write

    begin = time.perf_counter()
    section = _section(_run(print), time.perf_counter() - begin)
    out.mkdir(parents=True, exist_ok=True)
    atomic_write(out / "report.html", page("Natural gradient", [section], facts=[("command", "linnet natural")]))
    closing(out / "report.html", "linnet run recipes/natural_mnist.toml")
    return 0


def _run(say: Callable[[str], object]) -> list[Point]:
    """Predicts, then measures, step by step."""
    import torch

    from linnet.models import ntk_mlp
    from linnet.optim import NaturalGradient, predict

    (x, y), (x_test, y_test) = _digits()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        net = ntk_mlp(depth=3, width=_WIDTH, inputs=x.shape[1], outputs=y.shape[1]).double()
    say(f"natural gradient: exact, {len(x)} digits, a perceptron of width {_WIDTH}; the line is computed first")
    line = predict(net, (x, y), (x_test, y_test), "exact", c=_C, steps=_STEPS)
    optimizer = NaturalGradient(net, "mse", "exact", c=_C, isotropy_every=1)
    points = []
    for step in range(_STEPS + 1):
        with torch.no_grad():
            found = net(x_test)
        test = float(((found - y_test) ** 2).sum() / (2 * len(y_test)))
        accuracy = float((found.argmax(1) == y_test.argmax(1)).double().mean())
        train = float(optimizer.step(x, y))
        done = optimizer.report()
        known = float(line.loss_train[step]), float(line.loss_test[step])
        points.append(Point(train, test, accuracy, *known, done.alpha, done.isotropy_error))
        say(
            f"  step {step}: loss {train:.4f} (predicted {known[0]:.4f}), alpha {done.alpha:.3g}, isotropy error "
            f"{done.isotropy_error:.1e}, test accuracy {accuracy:.2f}"
        )
    return points


def _digits() -> "tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor]]":
    """(images, targets) to train and to test on: rows of length 1, one-hot less its mean."""
    import torch

    from linnet.data import digits

    whole = digits()
    order = torch.randperm(len(whole), generator=torch.Generator().manual_seed(0))[: 2 * _IMAGES]
    x = torch.nn.functional.normalize(whole.images[order].flatten(1).double() - 127.5)
    y = torch.nn.functional.one_hot(whole.labels[order], len(whole.classes)).double() - 1 / len(whole.classes)
    return (x[:_IMAGES], y[:_IMAGES]), (x[_IMAGES:], y[_IMAGES:])


def _section(points: list[Point], wall_s: float) -> "Section":
    from linnet.report import Section, beside, table

    rows = [
        [str(step), p.train, p.predicted_train, p.test, p.predicted_test, p.accuracy, f"{p.isotropy_error:.0e}"]
        for step, p in enumerate(points)
    ]
    columns = ["step", "train", "predicted", "test", "predicted", "test accuracy", "isotropy error"]
    lead = (
        f"A perceptron of width {_WIDTH} learns {_IMAGES} of scikit-learn's digits by exact natural gradient, full "
        f"batch, c = {_C:g}, in {wall_s:.0f} s. The lines were computed from the untrained network: on them the "
        f"outputs come nearer to the targets by the factor {1 - _C:g} at each step. The wider the network, the nearer "
        "the measured points lie."
    )
    told = table(columns, rows, caption="Loss before each step, measured and predicted")
    return Section("Natural gradient on its predicted line", [beside(_picture(points), told)], lead=lead)


def _picture(points: list[Point]) -> "Markup":
    """Loss against step: lines predicted, points measured."""
    from matplotlib.figure import Figure

    from linnet.report.figures import SERIES_COLORS, drawing, figure

    steps = range(len(points))
    with drawing():
        fig = Figure(figsize=(5.8, 4.0), layout="constrained")
        axes = fig.subplots()
        for name, sign, style, color, measured, predicted in (
            ("training", "s", "-", SERIES_COLORS[0], [p.train for p in points], [p.predicted_train for p in points]),
            ("test", "o", "--", SERIES_COLORS[1], [p.test for p in points], [p.predicted_test for p in points]),
        ):
            axes.plot(steps, predicted, style, color=color, linewidth=1.6, label=f"{name}, predicted")
            axes.plot(steps, measured, sign, color=color, markersize=6, label=f"{name}, measured")
        axes.set_yscale("log")
        axes.set_xlabel("step")
        axes.set_ylabel("loss")
        axes.grid(visible=True, color="#808080", alpha=0.25, linewidth=0.6)
        axes.legend()
        off = max(abs(math.log(p.train / p.predicted_train)) for p in points)
        return figure(fig, alt=f"Loss against step, measured within a factor {math.exp(off):.2f} of the predicted line")
