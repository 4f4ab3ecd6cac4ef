# `make demo` and `make test` set up everything they need in .venv.

# With a Python of your choice, as in `PYTHON=python3.13 make test`, in .venv-3.13.
ifneq ($(origin PYTHON),undefined)
VENV ?= .venv-$(shell $(PYTHON) -c 'import sys; print("%d.%d" % sys.version_info[:2])')
endif
VENV ?= .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed

# The first Python that TensorFlow has wheels for; up to 3.11 with TensorFlow Compression.
PYTHON ?= $(shell for python in python3.11 python3.10 python3.9 python3.12 python3.13 python3; do \
	$$python -c 'import sys; sys.exit(not (3, 9) <= sys.version_info < (3, 14))' 2>/dev/null \
	&& { command -v $$python; break; }; done)

.PHONY: demo test lint docs results clean

demo: $(INSTALLED)
	$(BIN)/python examples/demo.py

test: $(INSTALLED)
	$(BIN)/python -m pytest

lint: $(INSTALLED)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

docs: $(VENV)/.docs
	$(BIN)/mkdocs build --strict

# Tables and figures of docs/results.md, speed.md and elsewhere.md, from the CSV files in results/.
results: $(INSTALLED)
	$(BIN)/python -m benchmarks.shipped.report
	$(BIN)/python -m benchmarks.analysis.report
	$(BIN)/python -m benchmarks.scalar_source.run
	$(BIN)/python -m benchmarks.large.run --draw
	$(BIN)/python -m benchmarks.refinement.run
	$(BIN)/python -m benchmarks.recipe.run
	$(BIN)/python -m benchmarks.recipe.learning
	$(BIN)/python -m benchmarks.ladder.run
	$(BIN)/python -m benchmarks.ladder.files
	$(BIN)/python -m benchmarks.ladder.cost
	$(BIN)/python -m benchmarks.range_coder.run
	$(BIN)/python -m benchmarks.platforms.run
	$(BIN)/python -m benchmarks.platforms.speed
	$(BIN)/python -m benchmarks.shortcut.energy
	$(BIN)/python -m benchmarks.shortcut.cost
	$(BIN)/python -m benchmarks.loading.run
	$(BIN)/python -m benchmarks.accelerator.report
	$(BIN)/python -m benchmarks.accelerator.agreement
	for runs in results/rate_distortion/*_runs.csv; do \
		$(BIN)/python -m benchmarks.rate_distortion.report $$(basename $$runs _runs.csv) || exit 1; \
	done
	$(BIN)/python -m benchmarks.speed.report results/speed

$(INSTALLED): pyproject.toml
	@$(or $(PYTHON),false) -c 'import sys; sys.exit(not (3, 9) <= sys.version_info < (3, 14))' || { \
		echo "tfsq needs a Python from 3.9 to 3.13: TensorFlow has no wheels for others."; \
		exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check -e '.[dev]'
	touch $@

$(VENV)/.docs: $(INSTALLED)
	$(BIN)/pip install --quiet --disable-pip-version-check -e '.[docs]'
	touch $@

clean:
	rm -rf $(VENV) demo_output site
