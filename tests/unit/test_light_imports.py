"""Which heavy modules each folder loads, pinned: when it is imported, and when all its public names are used."""

import ast
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

# Forks a process for each line that it reads. torch is imported once and put aside: the first `import torch` of a
# forked process brings it back.
PROGRAM = """
import importlib, importlib.machinery, os, sys
import torch
aside = {name: module for name, module in sys.modules.items() if name.partition(".")[0] == "torch"}
for name in aside:
    del sys.modules[name]

class Aside:
    def find_spec(self, name, path=None, target=None):
        return importlib.machinery.ModuleSpec(name, self) if name == "torch" else None

    def create_module(self, spec):
        self.own = torch.__spec__
        sys.modules.update(aside)
        return torch

    def exec_module(self, module):
        module.__spec__ = self.own

sys.meta_path.insert(0, Aside())
for line in sys.stdin:
    folder, *heavy = line.split()
    child = os.fork()
    if child:
        os.waitpid(child, 0)
        continue
    try:
        module = importlib.import_module(folder)
        imported = [name for name in heavy if name in sys.modules]
        for name in module.__all__:
            getattr(module, name)
        print((imported, [name for name in heavy if name in sys.modules]), flush=True)
    except BaseException as error:
        print(repr(f"{type(error).__name__}: {error}"), flush=True)
    os._exit(0)
"""


@pytest.fixture(scope="module")
def loaded():
    """Gives the heavy modules of a process that had none: after an import, and after the use of every public name."""
    command = [sys.executable, "-c", PROGRAM]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as program:

        def answer(folder, heavy=HEAVY):
            program.stdin.write(f"{folder} {' '.join(heavy)}\n")
            program.stdin.flush()
            found = ast.literal_eval(program.stdout.readline())
            assert isinstance(found, tuple), found
            return found

        yield answer


def test_every_folder_with_public_names_is_listed():
    folders = {name for name in linnet.__all__ if name in LOADS or hasattr(getattr(linnet, name), "__path__")}
    assert folders | {"cli"} == set(LOADS)


def test_a_loaded_module_is_seen(loaded):
    assert loaded("json", ("json", "json.decoder", "xml.dom")) == (["json", "json.decoder"], ["json", "json.decoder"])
    assert loaded("linnet.models", ("torch", "torch.nn", "torch._dynamo")) == (["torch", "torch.nn"],) * 2
    with pytest.raises(AssertionError, match="ModuleNotFoundError"):
        loaded("linnet.nothing")


@pytest.mark.parametrize("folder", LOADS)
def test_a_folder_loads_no_more_than_it_needs(loaded, folder):
    imported, used = LOADS[folder]
    assert loaded(f"linnet.{folder}") == (imported.split(), used.split())
