"""The README and the page of the study."""

from __future__ import annotations

from papers.karakida2021_spectra.problems import Scale
from papers.karakida2021_spectra.report.claims import claims, real, regression, softmax
from papers.karakida2021_spectra.report.pictures import drawable
from papers.page import html_page, picture_section, provenance, section
from papers.study import Finished

_HEAD = """# Pathological spectra of the Fisher information (karakida2021_spectra)

R. Karakida, S. Akaho, S. Amari: Pathological spectra of the Fisher information metric and its variants in deep neural
networks. Neural Computation 33(8), 2021. What is quoted is the abstract's; formulas were re-derived and constants are
ours where nothing else is said. This page is written by the study from its records:

```console
$ python papers/karakida2021_spectra/run.py --scale {scale} --out papers/karakida2021_spectra
```

Networks are perceptrons of three weight layers with W ~ N(0, sigma_w^2 / fan_in), b ~ N(0, sigma_b^2): tanh (3, 0.64),
ReLU (2, 0.1), linear (1, 0.1); inputs are standard normal, C = 10 unless said. F has its 1/N inside. `--scale smoke`
shows that everything runs; `--scale gpu` has the full number of networks.
"""


def text(finished: Finished, scale: Scale) -> str:
    """The README."""
    parts = [_HEAD.format(scale=scale.name), section("Claims", claims(finished))]
    parts += [section("Regression", regression(finished)), section("Cross entropy", softmax(finished))]
    parts += [section("A real network", _REAL, real(finished)), picture_section(drawable(finished))]
    return "\n".join([*parts, provenance(finished)])


def html(finished: Finished) -> str:
    """The page."""
    pictures = drawable(finished)
    sections = {
        "Claims": [claims(finished)],
        "Regression": [regression(finished), pictures.get("regression"), pictures["kappa"]],
        "Cross entropy": [
            softmax(finished),
            pictures.get("softmax"),
            pictures.get("outliers"),
            pictures.get("training"),
        ],
        "Centring and step size": [pictures.get("centred"), pictures.get("map")],
        "A real network": [_REAL, real(finished), pictures.get("real")],
    }
    lead = [("trials", str(len(finished)))]
    return html_page("Pathological spectra of the Fisher information", sections, finished, lead=lead)


_REAL = (
    "A small convolutional network (linnet.models.ConvNet) learns images by SGD with momentum; in eval mode the "
    "spectrum of its cross entropy is looked at three times. The theory above doesn't hold for it: the question is "
    "whether the shape does.\n"
)
