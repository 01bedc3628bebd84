# Words for people and machines. `make test` and `make demo` need no step before them.
# Nothing is installed outside .venv; delete it (or `make clean`) to start over.

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help setup demo test lint bench fuzz nemesis long docs verify-coverage clean

PYTHON ?= python3
VENV   := .venv
PY     := $(VENV)/bin/python
PIP    := --disable-pip-version-check --no-input --quiet
READY  := $(VENV)/.ready
PEERS  := $(VENV)/.ready-bench
# Folders that hold Python; a folder that does not exist yet is not an error.
CODE   := $(wildcard src tests tools examples bench)
TYPED  := $(wildcard src tools examples)

# Settings of the caller's shell must not leak into the tools.
unexport PYTHONPATH PYTHONHOME VIRTUAL_ENV PYTHONDONTWRITEBYTECODE

help:  ## show these words
	@sed -n 's/^\([a-z-]*\):.*##\(.*\)/  make \1:\2/p' Makefile | column -t -s: 2>/dev/null \
	  || sed -n 's/^\([a-z-]*\):.*##\(.*\)/  make \1 \2/p' Makefile

setup: $(READY)  ## create .venv and install everything, once
	@echo "setup: $(VENV) is ready"

demo: $(READY)  ## see it work, on this machine's own package records
	@$(PY) tools/demo.py

test: lint  ## check style, types and layers, then run every test
	@$(PY) -m pytest -n 2 --dist worksteal -q

lint: $(READY)  ## ruff, mypy --strict, import-linter; all three, whatever the first one says
	@failed=0; \
	$(PY) -m ruff check --quiet $(CODE) && echo "ruff: clean" || failed=1; \
	$(PY) -m mypy --no-error-summary $(TYPED) && echo "mypy: clean" || failed=1; \
	$(VENV)/bin/lint-imports > $(VENV)/layers.txt 2>&1 \
	  && echo "layers: kept" || { cat $(VENV)/layers.txt; failed=1; }; \
	exit $$failed

bench: $(PEERS)  ## race the peers on this machine
	@$(PY) tools/bench.py

fuzz: $(READY)  ## give the decoders many more inputs than `make test` does
	@$(PY) -m pytest -n 2 -q --hypothesis-profile=fuzz tests/fuzz tests/properties

NEMESIS_S ?= 1800
nemesis: $(READY)  ## break real servers and clients for half an hour; NEMESIS_S says how long
	@ATE_STAND_BY_S=15 $(PY) -m pytest -q -n 0 tests/e2e/test_stand_by.py
	@NEMESIS_S=$(NEMESIS_S) $(PY) -m pytest -q -n 0 tests/nemesis/test_real.py

long: $(READY)  ## run every test as long as it can be run; an hour or more
	@ATE_LONG=1 $(PY) -m pytest -n 2 -q --hypothesis-profile=long

docs: $(READY)  ## run every example of the documents and check every link
	@$(PY) -m pytest -q tests/test_docs.py tests/test_examples.py

verify-coverage: $(READY)  ## measure each module under its own test alone
	@$(PY) tools/coverage_by_module.py

clean:  ## remove .venv and everything that was generated
	rm -rf $(VENV) build dist .coverage .mypy_cache .ruff_cache .pytest_cache .hypothesis \
	  .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# A distribution may ship Python without ensurepip; then its own pip fills the environment.
$(PY):
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "ate needs Python 3.11 or newer: make PYTHON=/path/to/python3 …" >&2; exit 1; }
	@echo "setup: creating $(VENV)"
	@rm -rf $(VENV)
	@if $(PYTHON) -c 'import ensurepip' 2>/dev/null; then \
	  $(PYTHON) -m venv $(VENV); \
	elif $(PYTHON) -m pip --version >/dev/null 2>&1; then \
	  $(PYTHON) -m venv --without-pip $(VENV) && touch $(VENV)/.host-pip; \
	else \
	  echo "this Python can make no environment: apt-get install python3-venv" >&2; exit 1; \
	fi

$(READY): $(PY) pyproject.toml constraints.txt
	@echo "setup: installing what constraints.txt pins"
	@$(call pip,install --require-hashes --requirement constraints.txt)
	@$(call pip,install --no-deps --no-build-isolation --editable .)
	@touch $@

$(PEERS): $(READY) constraints-bench.txt
	@echo "setup: installing the peers of the benchmark"
	@$(call pip,install --require-hashes --requirement constraints-bench.txt)
	@touch $@

pip = if [ -e $(VENV)/.host-pip ]; \
  then $(PYTHON) -m pip --python $(PY) $(PIP) $(1); \
  else $(PY) -m pip $(PIP) $(1); fi
