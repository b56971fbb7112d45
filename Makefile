# make demo   the main job from nothing to a report, about ten minutes on two cores
# make test   all tests        make lint   style, types, import rules
# make bench  benchmarks       make clean  remove the environment and all runs
#
# Each target makes .venv from requirements.lock first when it is missing or older than the lock.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

.PHONY: demo test unit lint bench clean

demo: $(READY)
	$(BIN)/python -m jobs.demo jobs/recipes/demo.yaml

test: $(READY)
	$(BIN)/python -m pytest tests --ignore=tests/benchmarks

unit: $(READY)
	$(BIN)/python -m pytest tests/unit

lint: $(READY)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: $(READY)
	$(BIN)/python tests/benchmarks/main_job.py

clean:
	rm -rf $(VENV) runs build *.egg-info .pytest_cache .mypy_cache .ruff_cache .import_linter_cache

$(READY): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; v = sys.version_info[:2]; sys.exit(0 if (3, 11) <= v <= (3, 13) else f"Python {v[0]}.{v[1]} found; ganrnn needs 3.11 to 3.13: make PYTHON=python3.12")'
	@echo "installing requirements.lock into $(VENV), once: a few minutes"
	$(PYTHON) -m venv --clear $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --editable .
	touch $(READY)
