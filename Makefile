# make bench: install, get the data, run the default experiment.   make test: everything that CI checks.
PYTHON ?= python3
BIN = .venv/bin
INSTALLED = .venv/.installed

.PHONY: install bench peers peers-full test test-slow test-all lint lock clean

install: $(INSTALLED)

$(INSTALLED): requirements.txt pyproject.toml
	@command -v c++ >/dev/null || command -v g++ >/dev/null || command -v clang++ >/dev/null || \
	  { echo "make install: hnswlib needs a C++ compiler: install g++ (Debian, Ubuntu: apt-get install g++; macOS: xcode-select --install)" >&2; exit 2; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "make install: expected Python 3.11 or newer, got $$($(PYTHON) --version); say make install PYTHON=python3.12" >&2; exit 2; }
	@$(PYTHON) -c 'import ensurepip' 2>/dev/null || \
	  { echo "make install: expected Python's venv: install it (Debian, Ubuntu: apt-get install python3-venv)" >&2; exit 2; }
	@$(PYTHON) -c 'import sysconfig, pathlib, sys; sys.exit(not pathlib.Path(sysconfig.get_path("include"), "Python.h").exists())' || \
	  { echo "make install: hnswlib needs Python's headers: install them (Debian, Ubuntu: apt-get install python3-dev)" >&2; exit 2; }
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check --no-compile --require-hashes -r requirements.txt
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --editable .
	@touch $@

bench: install
	$(BIN)/mrlbench reproduce

# Comparisons with other libraries, in the same run; results/peers says on which machine. Under 20 minutes
peers: install
	$(BIN)/python experiments/peers/metrics.py
	$(BIN)/python experiments/peers/cascade.py
	$(BIN)/python experiments/peers/text.py
	$(BIN)/python experiments/peers/rerank.py
	$(BIN)/python experiments/peers/refine.py
	$(BIN)/python experiments/peers/nested_search.py --sizes 10000,30000,65536
	$(BIN)/python experiments/peers/pipelines.py --size 20000 --queries 2000 --graphs hnsw --dims 32,64 \
	  --firsts batched-ivf:int16,batched-ivf:int16/4 --name pipelines_synthetic_20000
	$(BIN)/python experiments/peers/plot.py

# The sizes that take hours
peers-full: peers
	$(BIN)/python experiments/peers/memory.py
	$(BIN)/python experiments/peers/nested_search.py --sizes 100000,200000,300000 --name nested_search_large
	for size in 100000 300000 1000000; do \
	  $(BIN)/python experiments/peers/pipelines.py --size $$size --queries 2000 --name pipelines_synthetic_$$size || exit 1; done
	$(BIN)/python experiments/peers/plot.py

test: install lint
	$(BIN)/pytest -q -m "not slow"

test-slow: install
	$(BIN)/pytest -q -m slow

test-all: test test-slow

lint: install
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

# Pins for every platform, with hashes and no address; needs uv
lock:
	uv pip compile pyproject.toml --extra dev --universal --generate-hashes --python-version 3.11 \
	  --quiet --custom-compile-command "make lock" --output-file requirements.txt

clean:
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache
