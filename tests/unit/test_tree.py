"""The tree of the package: small folders, no circles, no file with the name of a public function of its folder."""

import ast
import importlib
import inspect
from collections import defaultdict
from pathlib import Path

import pytest

import linnet

ROOT = Path(linnet.__file__).parent
MODULES = {".".join(path.relative_to(ROOT.parent).with_suffix("").parts): path for path in sorted(ROOT.rglob("*.py"))}
FOLDERS = sorted({path.parent for path in MODULES.values()})
MOST_FILES = 15


def imported(path):
    """Modules of the package that a file imports anywhere, also inside functions; a lazy `__init__` imports none."""
    tree = ast.parse(path.read_text())
    if path.name == "__init__.py":
        tree.body = [node for node in tree.body if not isinstance(node, ast.If)]
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module:
            found |= {f"{node.module}.{name.name}" for name in node.names} | {node.module}
        elif isinstance(node, ast.Import):
            found |= {name.name for name in node.names}
    return found & set(MODULES)


def circles(arrows):
    """Groups of names that reach one another."""
    reach = {name: set(targets) for name, targets in arrows.items()}
    while True:
        wider = {name: seen.union(*(reach.get(other, set()) for other in seen)) for name, seen in reach.items()}
        if wider == reach:
            return sorted(name for name, seen in reach.items() if name in seen)
        reach = wider


def test_no_two_files_import_each_other_in_a_circle():
    assert circles({"a": {"b"}, "b": {"c"}, "c": {"b"}}) == ["b", "c"]
    assert circles({name: imported(path) - {name} for name, path in MODULES.items()}) == []


def test_no_two_folders_of_a_folder_import_each_other_in_a_circle():
    arrows = defaultdict(set)
    for name, path in MODULES.items():
        for other in imported(path):
            ours, theirs = name.split("."), other.split(".")
            apart = next((k for k, pair in enumerate(zip(ours, theirs, strict=False)) if pair[0] != pair[1]), None)
            if apart is not None and not name.endswith("__init__"):
                arrows[".".join(ours[: apart + 1])].add(".".join(theirs[: apart + 1]))
    assert circles(arrows) == []


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: str(folder.relative_to(ROOT)))
def test_a_folder_is_small_and_hides_no_file(folder):
    files = {path.stem for path in folder.glob("*.py")}
    assert len(files) <= MOST_FILES
    package = importlib.import_module(".".join(folder.relative_to(ROOT.parent).parts))
    public = getattr(package, "__all__", [])
    assert not {name for name in public if name in files and not inspect.ismodule(getattr(package, name))}
