# Two commands for a fresh machine: make demo, make test. README.md says how to do the
# same by hand, for Windows.
.PHONY: demo test check soak bench clean

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
QUIET := --quiet --disable-pip-version-check

demo: $(VENV)/.core
	$(BIN)/mlstats demo

test: $(VENV)/.dev
	BIN=$(BIN) sh tests/run.sh all

check: $(VENV)/.dev
	BIN=$(BIN) sh tests/run.sh quick

soak: $(VENV)/.dev
	BIN=$(BIN) sh tests/run.sh soak

bench: $(VENV)/.dev
	for table in benchmarks/*.py benchmarks/scale/*.py; do echo "== $$table"; $(BIN)/python $$table || exit 1; done

$(VENV)/.venv:
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "mlstats needs Python 3.11 or later")'
	$(PYTHON) -m venv $(VENV)
	touch $@

$(VENV)/.core: $(VENV)/.venv pyproject.toml constraints.txt
	$(BIN)/python -m pip install $(QUIET) -c constraints.txt -e .
	touch $@

$(VENV)/.dev: $(VENV)/.venv pyproject.toml constraints.txt
	$(BIN)/python -m pip install $(QUIET) -c constraints.txt -e '.[dev]'
	touch $@ $(VENV)/.core

clean:
	rm -rf $(VENV) build dist .pytest_cache .mypy_cache .ruff_cache .import_linter_cache
