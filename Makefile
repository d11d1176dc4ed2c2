# Charter: two commands do everything on a fresh machine with Python 3.11 and make.
#   make demo   set up, then the main job on real data
#   make test   set up, then every check and every test (under 20 minutes on 2 cores)

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
DEMO := demo

.PHONY: setup demo test check format layers types pages databases test-all bench docs clean

setup: $(READY)

# Tests run in as many processes as there are cores (4 at most), each with one thread; a file's tests stay together, the longest first.
PYTEST := OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n auto --maxprocesses 4 --dist loadfile --no-loadscope-reorder --durations 25

# torch comes first and by its exact version, so that no other build of it is ever fetched.
$(READY): pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Charter needs Python 3.11 or newer")'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt torch==2.13.0
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt --use-pep517 -e ".[dev]"
	touch $@

demo: setup
	rm -rf $(DEMO)/release
	mkdir -p $(DEMO)
	cp examples/tweets.yaml $(DEMO)/charter.yaml
	$(BIN)/charter run $(DEMO)/charter.yaml
	$(BIN)/charter predict $(DEMO)/release/tweets \
	  --text "My flight was cancelled and nobody at the desk would help me." \
	  --text "The crew was wonderful, best flight I have had in years!" \
	  --text "My number is 212-555-0198, flight 212 leaves at noon."
	@echo
	@echo "Report: $$(ls -td $(DEMO)/runs/*/report.html | head -1)"
	@echo "Bundle: $(DEMO)/release/tweets"

test: setup pages databases check
	$(PYTEST) -m "not slow"

check: setup
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python scripts/no_torchvision.py

# Chromium and Chinese fonts for the tests of pages, where they may be installed.
pages:
	@sh scripts/page_packages.sh

# The PostgreSQL server for the tests of databases, where it may be installed.
databases:
	@sh scripts/database_packages.sh

test-all: setup pages databases check
	$(PYTEST)

bench: setup
	for script in $(filter-out benchmarks/harness.py benchmarks/turns.py,$(wildcard benchmarks/*.py)); do $(BIN)/python $$script --quick || exit 1; done

docs: setup
	$(BIN)/python -m charter.spec.reference > docs/charter.md

clean:
	rm -rf $(VENV) $(DEMO) build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
