# Everything a person or a machine does with the project. Needs GNU make and Python 3.11+.

# Any Python 3.11 or newer: make setup PYTHON=python3.13
PYTHON ?=
VENV := .venv
BIN := $(VENV)/bin
DAYS := day1 day2 day3
READY := $(VENV)/.ready

.DEFAULT_GOAL := help
.PHONY: help setup run test test-all torture lint bench lock clean

help:  ## Show this list
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1|\2/p' $(MAKEFILE_LIST) | awk -F'|' '{printf "%-15s %s\n", $$1, $$2}'

setup: $(READY)  ## Prepare .venv, with .venv/bin/runner in it

# A half-made environment has no stamp, so that the next attempt begins where this one broke off.
# The lock is complete, so pip need not resolve anything (--no-deps), and compiling goes faster in parallel.
$(READY): pyproject.toml requirements.lock
	@python=$$(for name in $(PYTHON) python3 python3.14 python3.13 python3.12 python3.11 python; do \
	    "$$name" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null \
	        && echo "$$name" && break; done); \
	if [ -z "$$python" ]; then \
	    echo "error: no Python 3.11 or newer with venv and ensurepip was found" >&2; \
	    echo "hint: install one (Debian: apt-get install python3-venv), or name it: make setup PYTHON=/path/to/python3.11" >&2; \
	    exit 2; \
	fi; \
	if ! $(BIN)/python -c 'import sys, pip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then \
	    echo "Making $(VENV) with $$($$python --version) …"; \
	    "$$python" -m venv --clear $(VENV) || exit 2; \
	fi
	@echo "Installing what requirements.lock pins (about 700 MB, a few minutes the first time) …"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-compile --no-deps --use-pep517 --require-hashes \
	    -r requirements.lock
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-compile --no-deps --no-build-isolation -e .
	@echo "Compiling …"
	@$(BIN)/python -m compileall -q -j 0 $(VENV)/lib runner staging_loaders >/dev/null 2>&1 || true
	@echo "Archiving Spark's classes, so that it starts in half the time …"
	@$(BIN)/python -m staging_loaders.class_archive >/dev/null || true
	@touch $@
	@echo "Ready: $(BIN)/runner"

run: setup  ## Run the shipped days end to end, then show the metrics
	@for day in $(DAYS); do \
	    echo "+ runner apply --day $$day"; $(BIN)/runner apply --day $$day || exit; echo; \
	done
	@echo '+ runner metrics'
	@$(BIN)/runner metrics

# More than there are cores: half of the time a test waits for another process.
WORKERS ?= $(shell $(BIN)/python -c 'import os; print(min(4, 2 * (os.cpu_count() or 1)))')

# Compiled once, and not by each process that a test starts; pytest keeps what it makes of its files only if it may.
test: setup lint  ## Check style and types, then run all tests
	@PYTHONDONTWRITEBYTECODE= $(BIN)/python -m compileall -q -j 0 runner staging_loaders tests benchmarks >/dev/null
	@PYTHONDONTWRITEBYTECODE= $(BIN)/python -m pytest -n $(WORKERS) --no-loadscope-reorder

# What `make test` leaves out; SECONDS_LEFT is after how many it begins nothing more, and stops what runs.
test-all: setup  ## Run the long forms, and all tests on other versions of PostgreSQL and Python
	@$(BIN)/python -m tests.matrix $(if $(SECONDS_LEFT),--seconds $(SECONDS_LEFT))

lint: setup  ## Check style and types only
	@$(BIN)/ruff check --quiet .
	@$(BIN)/ruff format --check --quiet . || { echo "hint: $(BIN)/ruff format ." >&2; exit 1; }
	@$(BIN)/mypy

torture: setup  ## Kill runs everywhere (KILLS=500 SEED=…), and see that nothing is lost, doubled or left behind
	@$(BIN)/python -m tests.torture $(if $(KILLS),--kills $(KILLS)) $(if $(SEED),--seed $(SEED))

bench: setup  ## Measure the runner beside psql
	@$(BIN)/python -m benchmarks

lock: setup  ## Pin the newest versions that pyproject.toml allows
	@$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --all-extras --generate-hashes --upgrade \
	    --no-emit-index-url --custom-compile-command 'make lock' --output-file requirements.lock pyproject.toml

# Only what lies here: RUNNER_HOME may name a database that is somebody else's.
clean:  ## Remove what the other targets made, the embedded database with its data included
	@for version in 16 18; do \
	    [ ! -x $(BIN)/runner ] || RUNNER_HOME="$(CURDIR)/.runner" RUNNER_EMBEDDED_VERSION=$$version \
	        $(BIN)/runner db reset --yes || exit; \
	done
	@rm -rf $(VENV) .matrix .runner build dist spark-warehouse .pytest_cache .mypy_cache .ruff_cache .hypothesis
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
