# Two commands do everything: `make run` and `make test`. `make help` lists the rest.

PYTHON ?= python3
BIN := .venv/bin
INSTALL := $(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt

.PHONY: help run test test-fast lint faults bench clean

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-9s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

run: .venv/run ## Run it all with a sandbox engine, send the fixtures, show what became of them (ONCE=1: then stop)
	$(BIN)/destination demo $(if $(ONCE),--once)

test: lint ## Linters, types, all tests
	$(BIN)/pytest

test-fast: .venv/test ## The tests that start no process, in under a minute
	$(BIN)/pytest tests/test_house.py tests/unit tests/docs tests/lint

lint: .venv/test ## Linters and types alone
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

faults: .venv/test ## Kill processes and stop databases under load, and count what is lost (ARGS="--seed 7 --kills 20")
	$(BIN)/python -m tests.faults $(ARGS)

bench: .venv/test ## Measure: mapping, remembering awards, receiving, delivering
	$(BIN)/python benchmarks/mapping.py
	$(BIN)/python benchmarks/awards.py
	$(BIN)/python benchmarks/service.py

clean: ## Remove the virtual environment and what the practice run kept
	rm -rf .venv build var

# A stamp each: installing is done once, and again when what is to be installed changes.
.venv/run: setup.cfg constraints.txt | .venv/bin/pip
	$(INSTALL) --editable '.[postgres]'
	touch $@

.venv/test: setup.cfg constraints.txt | .venv/bin/pip
	$(INSTALL) --editable '.[dev]'
	touch .venv/run $@

.venv/bin/pip:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "Python 3.11 or newer is needed; PYTHON=python3.11 names another one."; exit 1; }
	@$(PYTHON) -m venv .venv || \
		{ rm -rf .venv; echo "Install venv first: apt-get install python3-venv"; exit 1; }
