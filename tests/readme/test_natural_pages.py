"""The code of the pages on natural gradient runs, from top to bottom."""

import re
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[2] / "docs"


@pytest.mark.parametrize(
    "page",
    [
        "howto/natural_gradient.md",
        "howto/which_approximation.md",
        "concepts/isotropic_gradient.md",
        "concepts/conventions.md",
    ],
)
def test_code_runs(page):
    blocks = re.findall(r"```python\n(.*?)```", (DOCS / page).read_text(encoding="utf-8"), flags=re.DOTALL)
    assert blocks
    exec(compile("\n".join(blocks), page, "exec"), {"__name__": page})
