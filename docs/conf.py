"""How Sphinx builds the documentation; `make docs` calls it, `make check` refuses every warning."""

import sys
from pathlib import Path

from linnet import __version__

sys.path.insert(0, str(Path(__file__).parent))  # for plain_docstrings

project = "linnet"
author = "The linnet developers"
copyright = f"2026, {author}"
release = __version__

extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "plain_docstrings"]
default_role = "code"
exclude_patterns = ["_build"]
html_theme = "furo"
html_title = "linnet"
suppress_warnings = ["ref.python"]  # a word of a docstring that two classes have as an attribute
nb_execution_mode = "off"
autodoc_typehints = "description"
autodoc_member_order = "bysource"
