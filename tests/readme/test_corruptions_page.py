"""docs/corruptions.md: its table is that of the records, its code runs, and nothing is called CIFAR-10-C."""

import re
from pathlib import Path

import torch
from torch import nn

import linnet
from benchmarks.ensemble import page

ROOT = Path(__file__).parents[2]
TEXT = page.PAGE.path.read_text(encoding="utf-8")


def test_the_rates_are_those_of_the_records():
    assert page.PAGE.text() == TEXT


def test_its_code_runs():
    first, second = re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)
    names = {"linnet": linnet}
    exec(first, names)
    assert names["foggy"].shape == (64, 3, 32, 32)
    assert len(names["names"]) == 15
    names |= {
        "images": torch.rand(4, 3, 8, 8, generator=torch.Generator().manual_seed(0)),
        "labels": torch.tensor([0, 1, 2, 0]),
        "model": nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten()),
        "standardise": lambda x: (x - 0.5) * 4,
    }
    exec(second, names)
    assert 0 <= names["report"].metrics["shifted"]["ece"] <= 1


def test_the_picture_is_there():
    assert (ROOT / "docs" / "images" / "corruptions.png").stat().st_size > 10_000


def test_no_text_calls_the_generated_suite_by_the_name_of_the_published_set():
    called = re.compile(r"(?<!not )CIFAR-10-C")
    folders = ("src", "docs", "papers", "benchmarks", "recipes", "examples")
    found = [
        path
        for folder in folders
        for path in (ROOT / folder).rglob("*")
        if path.suffix in (".py", ".md", ".toml", ".jsonl") and called.search(path.read_text(encoding="utf-8"))
    ]
    assert found == []
    assert called.search("accuracy on CIFAR-10-C")
