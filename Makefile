# linnet from a fresh clone. Every target does the set-up it needs: `make demo` and `make test` are the only two to know.
#
#   make demo         find nuclei in two real pictures, beside their truth; ends with the place of the report
#   make test         format, lint, types, layering, documentation, then all tests
#   make check        the first half of that
#   make test-all     make test under each supported Python that is there, each in a separate set-up (.venv-3.12): before a release
#   make verify-all   what takes many minutes: a thousand random jet networks in C, CXXRTL and Icarus, and hundreds of planted faults
#   make weights      train the shipped nucleus detector again (needs the data, see docs/model_card.md)
#   make nuclei       that, then all measurements of it, on a machine that does nothing else; goes on where it was stopped
#   make docs         the documentation as HTML in docs/_build
#   make benchmarks   measure the claims side by side and write them into the README
#   make peers        what the benchmarks and conformance tests compare with
#
# PYTHON=python3.12 names the Python of a new set-up, VENV=.venv-3.12 its folder.

VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check
INSTALL := $(PIP) install --quiet --constraint constraints.txt
WORKERS ?= 2
PYTHONS ?= python3.11 python3.12 python3.13
CANDIDATES := $(or $(PYTHON),python3 python3.13 python3.12 python3.11 python)

.PHONY: demo test test-all verify-all check types layers pages format weights nuclei docs benchmarks peers clean same-python
.DEFAULT_GOAL := demo

demo: $(VENV)/.installed
	$(BIN)/linnet demo

test: check
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n $(WORKERS)

# PYENV_VERSION: pyenv puts a python3.12 on the path that refuses to run until its version is chosen.
test-all:
	@status=0; tested=0; summary=; \
	for name in $(PYTHONS); do \
	  python=$$(PYENV_VERSION=$${name#python}:system $$name -c 'import ensurepip, sys, venv; print(sys.executable)' 2>/dev/null); \
	  if [ -z "$$python" ]; then \
	    result="not there, skipped"; \
	  else \
	    version=$$($$python -c 'import sys; print("%d.%d" % sys.version_info[:2])'); \
	    tested=1; \
	    if $(MAKE) test PYTHON=$$python VENV=.venv-$$version; then result=passed; else result=FAILED; status=1; fi; \
	  fi; \
	  summary="$$summary$$name: $$result\n"; \
	done; \
	printf '\n%b' "$$summary"; \
	if [ $$tested = 0 ]; then echo "None of these is there. Name those to test with: make test-all PYTHONS='/path/to/python3.12 ...'" >&2; exit 1; fi; \
	exit $$status

# Types, documentation and the tool that compiles itself take about a minute each on one core: two go side by side.
check: $(VENV)/.installed-dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(MAKE) --no-print-directory --jobs=2 types pages layers $(VENV)/.tools

types: $(VENV)/.installed-dev
	$(BIN)/basedpyright --pythonpath $(BIN)/python

layers: $(VENV)/.installed-dev
	$(BIN)/lint-imports

pages: $(VENV)/.installed-dev
	$(BIN)/python -m sphinx -W --keep-going -q -b html docs docs/_build/html

format: $(VENV)/.installed-dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

docs: $(VENV)/.installed-dev
	$(BIN)/python -m sphinx -W --keep-going -b html docs docs/_build/html
	@echo "The documentation is in docs/_build/html/index.html"

verify-all: $(VENV)/.tools
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n $(WORKERS) -m nightly

weights: $(VENV)/.installed-dev
	$(BIN)/linnet run recipes/nuclei.toml --out runs/weights
	cmp -s runs/weights/weights.safetensors src/linnet/nuclei/weights/default.safetensors || \
	  cp runs/weights/weights.safetensors src/linnet/nuclei/weights/default.safetensors
	@echo "The detector is in place. Next: make nuclei, which measures it and writes its card and tables"

# For a machine that does nothing else: trains, then measures part by part. Interrupted, the same command goes on: the
# training from its last checkpoint, the measurements from the first part that has no records yet.
NUCLEI := nuclei:accuracy nuclei:peers nuclei:cost nuclei_scale:f1 nuclei_scale:cost nuclei_outside:outside nuclei_flags:known nuclei_flags:foreign nuclei_teaching:teaching $(addprefix nuclei_ablation:,all negatives faults crowded data diameters)
nuclei: weights
	@for part in $(NUCLEI); do \
	  subject=$${part%%:*}; only=$${part#*:}; done=runs/weights/measured.$$subject.$$only; \
	  if [ src/linnet/nuclei/weights/default.safetensors -nt $$done ] || [ ! -e $$done ]; then \
	    $(BIN)/python -m benchmarks $$subject --only $$only --json benchmarks/records/$$subject.jsonl && touch $$done || exit 1; \
	  fi; \
	done
	$(BIN)/python -m benchmarks readme

benchmarks: $(VENV)/.installed-dev
	$(BIN)/python -m benchmarks nuclei --json benchmarks/records/nuclei.jsonl
	$(BIN)/python -m benchmarks core --json benchmarks/records/core.jsonl
	$(BIN)/python -m benchmarks core --zoo --json benchmarks/records/core_zoo.jsonl
	$(BIN)/python -m benchmarks readme

# --no-deps: the group names every package, so that nothing else comes and torch stays what it is.
peers: $(VENV)/.installed-dev
	$(INSTALL) --no-deps --group peers

clean:
	rm -rf $(VENV) .venv-3.* docs/_build

# The environment is made once. It is brought up to date when pyproject.toml or constraints.txt changes, and only then.
$(BIN)/python:
	@for candidate in $(CANDIDATES); do \
	  if $$candidate -c 'import ensurepip, sys, venv; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then \
	    echo "Making $(VENV) with $$($$candidate --version) ($$candidate)"; \
	    $$candidate -m venv $(VENV) && exit 0; \
	    rm -rf $(VENV); exit 1; \
	  fi; \
	done; \
	echo "linnet needs Python 3.11 or newer with the modules venv and ensurepip; none was found as: $(CANDIDATES)." >&2; \
	echo "Install one (on Debian and Ubuntu: python3 and python3-venv), or name it: make demo PYTHON=/path/to/python3.12" >&2; \
	exit 1

# A set-up keeps the Python that it was made with: if PYTHON names another one, nothing runs.
same-python: | $(BIN)/python
ifneq ($(PYTHON),)
	@has=$$($(BIN)/python -c 'import sys; print(sys.version)'); \
	named=$$($(PYTHON) -c 'import sys; print(sys.version)') || { echo "PYTHON=$(PYTHON) doesn't run; it must be a Python 3.11 or newer." >&2; exit 1; }; \
	if [ "$$has" != "$$named" ]; then \
	  echo "$(VENV) was made with Python $${has%% *}, and PYTHON=$(PYTHON) is $${named%% *}: it must be the same build." >&2; \
	  echo "Leave PYTHON out, or give this Python another set-up: add VENV=.venv-$$($(PYTHON) -c 'import sys; print("%d.%d" % sys.version_info[:2])')" >&2; \
	  exit 1; \
	fi
endif

$(VENV)/.installed: pyproject.toml constraints.txt | same-python
	@echo "Installing linnet into $(VENV): once, some minutes"
	$(INSTALL) --upgrade pip
	$(INSTALL) --build-constraint constraints.txt --editable '.[digits]'
	@touch $@

$(VENV)/.installed-dev: $(VENV)/.installed
	$(INSTALL) --build-constraint constraints.txt --editable '.[digits,hardware,onnx,slides]' --group dev
	@touch $@

$(VENV)/.tools: $(VENV)/.installed-dev
	@echo "yosys compiles itself into its cache folder (~/.cache/YoWASP or YOWASP_CACHE_DIR): about a minute, once"
	$(BIN)/python -c 'from linnet.jet.verilog.tools import tool; tool("yosys").run("-V")'
	@touch $@
