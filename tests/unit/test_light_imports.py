"""Which heavy modules each folder loads, pinned: when it is imported, and when all its public names are used."""

import json
import subprocess
import sys

import pytest

import linnet

HEAVY = (
    "PIL",
    "cyclopts",
    "imagecodecs",
    "jinja2",
    "matplotlib",
    "onnx",
    "onnxruntime",
    "rich",
    "scipy",
    "skimage",
    "sklearn",
    "tifffile",
    "torch",
    "torch._dynamo",
    "torch._inductor",
)

# Folder -> (what `import linnet.FOLDER` loads, what its public names load together).
LOADS = {
    "cli": ("cyclopts", "cyclopts"),  # the commands are declared with it
    "core": ("", "torch"),
    "data": ("", "PIL scipy torch"),
    "engine": ("", "rich torch"),
    "ensemble": ("", "torch"),
    "jet": ("", "torch"),
    "models": ("torch", "torch"),  # its table of networks holds the classes themselves
    "nuclei": ("", "PIL imagecodecs jinja2 rich scipy tifffile torch"),
    "optim": ("", "torch"),
    "prune": ("", "torch"),
    "recipe": ("", "PIL jinja2 rich torch"),
    "report": ("", "PIL jinja2"),
    "results": ("", ""),
    "spectra": ("", "torch"),
}

PROGRAM = """
import importlib, json, sys
folder, heavy = sys.argv[1], sys.argv[2].split()
module = importlib.import_module(folder)
imported = [name for name in heavy if name in sys.modules]
for name in module.__all__:
    getattr(module, name)
print(json.dumps([imported, [name for name in heavy if name in sys.modules]]))
"""


def loaded(folder, heavy=HEAVY):
    """The heavy modules in a fresh interpreter: after the import, and after the use of every public name."""
    run = subprocess.run(
        [sys.executable, "-c", PROGRAM, folder, " ".join(heavy)], capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stderr
    return tuple(json.loads(run.stdout))


def test_every_folder_with_public_names_is_listed():
    folders = {name for name in linnet.__all__ if name in LOADS or hasattr(getattr(linnet, name), "__path__")}
    assert folders | {"cli"} == set(LOADS)


def test_a_loaded_module_is_seen():
    assert loaded("json", ("json", "json.decoder", "xml.dom")) == (["json", "json.decoder"], ["json", "json.decoder"])


@pytest.mark.parametrize("folder", LOADS)
def test_a_folder_loads_no_more_than_it_needs(folder):
    imported, used = LOADS[folder]
    assert loaded(f"linnet.{folder}") == (imported.split(), used.split())
