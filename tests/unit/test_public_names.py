"""The public names of `linnet`, pinned: a change here is a change of the interface."""

import subprocess
import sys

import pytest

import linnet

PUBLIC = [
    "Capture",
    "ChannelGraph",
    "LinnetError",
    "__version__",
    "core",
    "cost",
    "data",
    "engine",
    "errors",
    "load",
    "models",
    "nuclei",
    "optim",
    "prune",
    "recipe",
    "report",
    "resize",
    "results",
    "save",
    "spectra",
]


def test_the_public_names_are_these():
    assert linnet.__all__ == PUBLIC
    assert dir(linnet) == sorted(PUBLIC)


@pytest.mark.parametrize("name", PUBLIC)
def test_every_public_name_loads(name):
    assert getattr(linnet, name) is getattr(linnet, name)


def test_an_unknown_name_is_refused_with_the_known_ones():
    with pytest.raises(AttributeError, match=r"no attribute `nucleus`.*nuclei"):
        _ = linnet.nucleus


def test_import_loads_nothing_heavy():
    heavy = "import sys, linnet; print([m for m in ('torch', 'numpy', 'scipy', 'skimage', 'rich') if m in sys.modules])"
    run = subprocess.run([sys.executable, "-c", heavy], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"


def test_every_module_can_be_imported_without_a_warning():
    code = (
        "import importlib, pkgutil, linnet\n"
        "for module in pkgutil.walk_packages(linnet.__path__, 'linnet.'):\n"
        "    if not module.name.endswith('.__main__'): importlib.import_module(module.name)"
    )
    run = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
