# linnet from a fresh clone. Every target does the set-up it needs: `make demo` and `make test` are the only two to know.
#
#   make demo         find nuclei on real and synthetic images; ends with the place of the report
#   make test         format, lint, types, layering, documentation, then all tests
#   make check        the first half of that
#   make weights      train the shipped nucleus detector again (needs the data, see docs/model_card.md)
#   make docs         the documentation as HTML in docs/_build
#   make benchmarks   measure the claims side by side and write them into the README
#   make peers        what the benchmarks and conformance tests compare with

VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check
INSTALL := $(PIP) install --quiet --constraint constraints.txt
WORKERS ?= 2

.PHONY: demo test check format weights docs benchmarks peers clean
.DEFAULT_GOAL := demo

demo: $(VENV)/.installed
	$(BIN)/linnet demo

test: check
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n $(WORKERS)

check: $(VENV)/.installed-dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/basedpyright
	$(BIN)/lint-imports
	$(BIN)/python -m sphinx -W --keep-going -q -b html docs docs/_build/html

format: $(VENV)/.installed-dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

docs: $(VENV)/.installed-dev
	$(BIN)/python -m sphinx -W --keep-going -b html docs docs/_build/html
	@echo "The documentation is in docs/_build/html/index.html"

weights: $(VENV)/.installed-dev
	$(BIN)/linnet run recipes/nuclei.toml --out runs/weights
	cp runs/weights/weights.safetensors src/linnet/nuclei/weights/default.safetensors
	@echo "The detector is in place. Next: make benchmarks, which also writes its card and the README's table"

benchmarks: $(VENV)/.installed-dev
	$(BIN)/python -m benchmarks nuclei --json benchmarks/records/nuclei.jsonl
	$(BIN)/python -m benchmarks core --json benchmarks/records/core.jsonl
	$(BIN)/python -m benchmarks core --zoo --json benchmarks/records/core_zoo.jsonl
	$(BIN)/python -m benchmarks readme

# --no-deps: the group names every package, so that nothing else comes and torch stays what it is.
peers: $(VENV)/.installed-dev
	$(INSTALL) --no-deps --group peers

clean:
	rm -rf $(VENV) docs/_build

# The environment is made once. It is brought up to date when pyproject.toml or constraints.txt changes, and only then.
$(BIN)/python:
	@for candidate in $(PYTHON) python3 python3.13 python3.12 python3.11 python; do \
	  if $$candidate -c 'import ensurepip, sys, venv; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then \
	    echo "Making $(VENV) with $$($$candidate --version) ($$candidate)"; \
	    $$candidate -m venv $(VENV) && exit 0; \
	    rm -rf $(VENV); exit 1; \
	  fi; \
	done; \
	echo "linnet needs Python 3.11 or newer with the modules venv and ensurepip; none was found as python3, python3.13, python3.12, python3.11 or python." >&2; \
	echo "Install one (on Debian and Ubuntu: python3 and python3-venv), or name it: make demo PYTHON=/path/to/python3.12" >&2; \
	exit 1

$(VENV)/.installed: pyproject.toml constraints.txt | $(BIN)/python
	@echo "Installing linnet into $(VENV): once, some minutes"
	$(INSTALL) --upgrade pip
	$(INSTALL) --build-constraint constraints.txt --editable '.[digits]'
	@touch $@

$(VENV)/.installed-dev: $(VENV)/.installed
	$(INSTALL) --build-constraint constraints.txt --editable '.[digits,onnx]' --group dev
	@touch $@
