# Everything a person runs, and nothing else: `make help` lists it. Needs Python >= 3.11, make and git.

PYTHON ?= python3
# Sets of texts have another order in each process otherwise, and no story of the simulation could be told twice.
export PYTHONHASHSEED := 0
BIN := .venv/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet
COMPILE := $(BIN)/uv pip compile --quiet --universal --generate-hashes --no-emit-index-url --no-header --no-annotate \
	--python-version 3.11

# Two stamps: the packages are installed once per change of the lock, the project once per change of its metadata.
PACKAGES := .venv/.packages
PROJECT := .venv/.project
MUTMUT := .venv-mutants/.mutmut-3.8.1

.DEFAULT_GOAL := help
.PHONY: help setup lint test test-fast soak mutants mutmut bench demo diagram lock image-check clean
.DELETE_ON_ERROR:

help: ## This list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: $(PROJECT) ## Make .venv with the locked packages and the project itself (the other targets do it by themselves)

$(PACKAGES): requirements-dev.lock
	@$(PYTHON) scripts/check_python.py
	@echo "Setting up .venv: once per change of requirements-dev.lock, about a minute."
	@$(PYTHON) -m venv --clear .venv
	@$(PIP) install --require-hashes --requirement requirements-dev.lock
	@touch $@

$(PROJECT): $(PACKAGES) pyproject.toml
	@$(PIP) install --no-deps --no-build-isolation --editable .
	@touch $@

lint: setup ## Format, style, types, the directions of imports, the Dockerfile
	$(BIN)/ruff format --check
	$(BIN)/ruff check
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/hadolint Dockerfile

test: setup ## Every test, also on a real control plane (built once, about six minutes)
	$(BIN)/pytest

test-fast: setup ## Every test that needs no control plane
	$(BIN)/pytest -m "not cluster"

soak: setup ## Stories of the simulation on every core, 20,000 (hours) or EXAMPLES=n; SEED=s EXAMPLES=n plays a chunk again
	$(BIN)/python -m tests.property.simulation.soak $(or $(EXAMPLES),20000) $(SEED)

mutants: setup ## Plant bugs into copies: the simulation has to notice each; ten minutes, ONLY=text some of them
	$(BIN)/python -m tests.mutants

mutmut: setup $(MUTMUT) ## A mutation tool on the pure core, judged by the fast tests
	$(BIN)/python -m tests.mutants.core

# It brings a terminal interface of its own, so it stays out of .venv and the locks; it uses what is in .venv.
$(MUTMUT):
	@$(BIN)/uv venv --quiet --clear --python $(BIN)/python .venv-mutants
	@$(BIN)/uv pip install --quiet --python .venv-mutants/bin/python mutmut==3.8.1
	@touch $@

# Only a whole run draws the picture of docs/ anew.
PLOT ?= $(if $(QUICK)$(ONLY),,docs/performance.svg)

bench: setup ## What it costs, beside what is inevitable: 2.5 hours; QUICK=1 a minute, ONLY=row, JSON=path, PLOT=path
	$(BIN)/python -m bench $(if $(QUICK),--quick) $(if $(ONLY),--only "$(ONLY)") $(if $(JSON),--json $(JSON)) $(if $(PLOT),--plot $(PLOT))

demo: setup ## Two operators on a sandbox, from the first session to a clean end; KEEP=1 stays up
	$(BIN)/python -m sandbox demo $(if $(KEEP),--keep)

diagram: setup ## Draw README's state diagram again from fsm/table.py
	$(BIN)/python scripts/diagram.py

# The first holds everything, so the other two take their versions from it.
lock: setup ## Resolve the dependencies again into the three lock files
	$(COMPILE) --upgrade pyproject.toml --group dev --output-file requirements-dev.lock
	$(COMPILE) --constraints requirements-dev.lock pyproject.toml --output-file requirements.lock
	$(COMPILE) --constraints requirements-dev.lock --group build --output-file requirements-build.lock

image-check: setup ## Run the Dockerfile's own steps on a clean folder and start what comes of them
	$(BIN)/python scripts/check_image.py

clean: ## Remove .venv and what was built in this folder
	rm -rf .venv .venv-mutants build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
