# One virtual environment, made once; every target makes it first.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

.PHONY: install demo test test-all lint docs audit format bench clean

install: $(STAMP)

$(STAMP): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "effsearch needs Python 3.11 or newer; give PYTHON=python3.11")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[dev]'
	@touch $(STAMP)

# The main job on the embedded data set: search, scale, plot.
demo: install
	$(BIN)/effsearch baseline --space examples/small_space.yaml --budget 50M-FLOPs --minutes 2
	$(BIN)/effsearch scale --phi 1..7 --minutes 1
	$(BIN)/effsearch plot --out demo-front.png

# Each file of tests on one of up to four processes; `pytest` by itself runs them one after the other.
TESTING := $(BIN)/python -m pytest --numprocesses auto --maxprocesses 4 --dist loadfile

test: install
	$(TESTING)

test-all: install
	$(TESTING) -m 'not gpu'

lint: install docs
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/bandit --quiet --recursive --configfile pyproject.toml effsearch

# Known weaknesses of what is installed; asks a service of PyPI's, so it needs the network.
audit: install
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[audit]'
	$(BIN)/pip-audit --requirement constraints.txt --no-deps --disable-pip

# The site, in site/; a dead link or anything that a page would load from elsewhere fails it. Offline. (With --quiet mkdocs
# would count no warning, and so let dead links pass.)
docs: install
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict

format: install
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# Every claim of the README; hours in all. Each script resumes and appends to benchmarks/results/.
bench: install
	for script in benchmarks/bench_*.py; do $(BIN)/python $$script || exit 1; done

clean:
	rm -rf $(VENV) build dist site *.egg-info .mypy_cache .ruff_cache .pytest_cache
