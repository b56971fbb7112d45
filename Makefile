# make demo   the main job from nothing to a report, about eight minutes on two cores
# make loop   dreamt captions, painted, judged: trains dreamt_captions, scene_judge and demo where that is not done
# make test        every promise once: four minutes on two cores
# make test-slow   again through Ray, kills, S3, a browser and cluster jobs; it downloads what it needs
# make mutants     whether make test notices small faults, drawn by seed: half an hour
# make lint   style, types, import rules         make clean   remove the environment and all runs
# make bench  benchmarks of the main job         make bench-scale   of generation at scale
# make bench-gans  modes by objective, the guard, scores of the image recipes: two hours; peers where they are given
# make bench-pictures  what the pictures of the demo are worth, read from its report; speed of the generators
# make bench-texts  of RNNs of texts: speeds, whether batches change a text; peers and recipes where they are given
# make bench-hybrids  judges and their choice, dreamt and rewarded texts, the environment for agents
# make bench-evaluation  scores of pictures beside other implementations, which it installs below build/
# make faults fifty schedules of faults, about half an hour
#
# Each target makes .venv from requirements.lock first when it is missing or older than the lock.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

.PHONY: demo loop test test-slow mutants unit lint
.PHONY: bench bench-scale bench-gans bench-pictures bench-texts bench-hybrids bench-evaluation faults clean

demo: $(READY)
	$(BIN)/python -m jobs demo

# 3 is a challenger: not promoted, and a model all the same
loop: $(READY)
	for recipe in dreamt_captions scene_judge demo; do \
		$(BIN)/python -m jobs nightly $$recipe || test $$? -eq 3 || exit 1; \
	done
	$(BIN)/python -m jobs closed_loop closed_loop

test: $(READY)
	$(BIN)/python -m pytest tests -m "not slow" -n 2 --dist loadfile --durations=20

test-slow: $(READY)
	$(BIN)/python -m pytest tests -m slow --durations=20

mutants: $(READY)
	$(BIN)/python -m tests.mutation.run

unit: $(READY)
	$(BIN)/python -m pytest tests/unit

lint: $(READY)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: $(READY)
	PYTHONPATH=. $(BIN)/python tests/benchmarks/main_job.py

bench-scale: $(READY)
	PYTHONPATH=. $(BIN)/python tests/benchmarks/scale.py

bench-gans: $(READY)
	PYTHONPATH=. $(BIN)/python tests/benchmarks/image_gans.py

bench-pictures: $(READY)
	PYTHONPATH=. $(BIN)/python tests/benchmarks/pictures.py

bench-hybrids: $(READY)
	PYTHONPATH=. $(BIN)/python tests/benchmarks/hybrids.py

bench-texts: $(READY)
	PYTHONPATH=. $(BIN)/python tests/benchmarks/rnn_text.py

bench-evaluation: $(READY)
	PYTHONPATH=. $(BIN)/python tests/benchmarks/evaluation.py

faults: $(READY)
	PYTHONPATH=. $(BIN)/python tests/benchmarks/faults.py --num 50 --jobs 3

clean:
	rm -rf $(VENV) runs build *.egg-info .pytest_cache .mypy_cache .ruff_cache .import_linter_cache

$(READY): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; v = sys.version_info[:2]; sys.exit(0 if (3, 11) <= v <= (3, 13) else f"Python {v[0]}.{v[1]} found; ganrnn needs 3.11 to 3.13: make PYTHON=python3.12")'
	@echo "installing requirements.lock into $(VENV), once: a few minutes"
	$(PYTHON) -m venv --clear $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --editable .
	touch $(READY)
