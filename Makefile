# Needs Python 3.11 to 3.13 and make. `make PYTHON=/path/to/python demo` chooses another interpreter.

PYTHON ?= $(shell for name in python3.11 python3.12 python3.13 python3 python; do \
	$$name -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' >/dev/null 2>&1 \
	&& { echo $$name; break; }; done)
WORKERS ?= 2

VENV := .venv
RUN := $(VENV)/bin/python
# Tests start many processes: where the environment forbids to keep bytecode, each would compile all that it imports.
TEST := PYTHONDONTWRITEBYTECODE= OMP_NUM_THREADS=1 $(RUN) -m pytest
PIP := $(RUN) -m pip --disable-pip-version-check install --constraint constraints.txt
TORCH = $(shell sed -n 's/^torch==/&/p' constraints.txt)

.PHONY: help demo install install-dev test test-fast golden check mini image-start format clean

help:
	@echo "make demo         generate three short videos with the model that is in the package"
	@echo "make test         run all tests"
	@echo "make test-fast    run the unit tests that are not slow"
	@echo "make golden       golden losses anew, of the recipes that have changed"
	@echo "make check        lint, types and import layers"
	@echo "make mini         train the shipped model anew (hours)"
	@echo "make image-start  short video stages from the image model and from random weights"
	@echo "make format       format the code and fix what can be fixed"
	@echo "make clean        remove the environment, caches and the demo's results"

demo: install
	$(RUN) examples/demo.py

install: $(VENV)/.base

install-dev: $(VENV)/.dev

test: install-dev
	$(TEST) -n $(WORKERS) --dist worksteal tests

test-fast: install-dev
	$(TEST) -q -n $(WORKERS) --dist worksteal -m "not slow" tests/unit tests/contract

# Only what is out of tolerance is written; the changelog says why the new values are right.
golden: install-dev
	OMP_NUM_THREADS=1 PYTHONPATH=tests/support $(RUN) -W ignore tests/golden/test_recipe_losses.py

check: install-dev
	$(RUN) -m ruff check .
	$(RUN) -m ruff format --check .
	$(RUN) -m pyright
	$(TEST) -q tests/contract/test_layers.py

# Hours on two cores; an interrupted run goes on where it stopped.
mini: install-dev
	$(RUN) examples/collect_pictures.py runs/pictures
	for recipe in autoencoder encoders judge image video text-to-video image-to-video; do \
		$(VENV)/bin/videoldm train mini-$$recipe || exit; \
	done
	$(RUN) -m videoldm.recipes.ship runs src/videoldm/assets/mini

# After the stages of `make mini` up to the image model: short video stages, from it and from random weights.
SHORT := training.num_samples=1536 training.log_every_samples=256 training.validate_every_samples=512 \
	training.checkpoint_every_samples=1536 stage.num_validation_clips=1
SEEDS := 0 1 2
image-start: install-dev
	for seed in $(SEEDS); do for recipe in mini-video mini-video-from-scratch; do \
		$(VENV)/bin/videoldm train $$recipe $(SHORT) training.seed=$$seed -o runs/short-$$recipe-$$seed || exit; \
	done; done
	$(RUN) benchmarks/image_start.py runs --seeds $(SEEDS)

format: install-dev
	$(RUN) -m ruff format .
	$(RUN) -m ruff check --fix .

clean:
	rm -rf $(VENV) .pytest_cache .ruff_cache .hypothesis build dist outputs/demo
	find src tests examples benchmarks -name __pycache__ -prune -exec rm -rf {} +

# The files .venv/.* say that a step is done; a step is repeated when what it depends on has changed.
$(VENV)/.python:
	@test -n "$(PYTHON)" || { echo "no Python 3.11 to 3.13 found; install one, or give it: make PYTHON=/path/to/python" >&2; exit 2; }
	$(PYTHON) -m venv $(VENV)
	@touch $@

$(VENV)/.torch: constraints.txt | $(VENV)/.python
	$(PIP) "$(TORCH)"
	@touch $@

$(VENV)/.base: pyproject.toml constraints.txt $(VENV)/.torch
	$(PIP) --editable .
	@touch $@

$(VENV)/.dev: pyproject.toml constraints.txt $(VENV)/.torch
	$(PIP) --editable ".[dev]"
	@touch $@ $(VENV)/.base
