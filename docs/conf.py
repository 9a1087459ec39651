"""How Sphinx builds the documentation; `make docs` calls it, `make check` refuses every warning."""

from linnet import __version__

project = "linnet"
author = "The linnet developers"
copyright = f"2026, {author}"
release = __version__

extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
exclude_patterns = ["_build"]
html_theme = "furo"
html_title = "linnet"
nb_execution_mode = "off"
autodoc_typehints = "description"
autodoc_member_order = "bysource"
