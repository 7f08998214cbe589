# From a clean clone: `make demo`, `make test`. Everything runs in .venv, made from the versions in constraints.txt.

# A newer Python is taken only where there is no 3.11: the pins were chosen on it.
PYTHON ?= $(shell for python in python3.11 python3; do \
	$$python -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$python && break; done)
BIN := .venv/bin
INSTALLED := .venv/.installed

# Two processes with one torch thread each: two threads a process stall for seconds on a busy two-core machine.
export OMP_NUM_THREADS := 1
PYTEST := $(BIN)/python -m pytest -n 2

.PHONY: demo test test-all sanitize lint bench clean

demo: $(INSTALLED)
	PATH="$(CURDIR)/$(BIN):$$PATH" examples/ml-100k/run.sh

test: $(INSTALLED)  ## pytest itself fails (exit 5) when it finds no tests
	$(PYTEST)

test-all: $(INSTALLED)
	$(PYTEST) -m ''

# A build of its own in build/, whose flaws end the process: address and undefined behaviour, threads included.
SANITIZED := build/sanitized
sanitize: $(INSTALLED)
	rm -rf $(SANITIZED)
	DAGFM_KERNEL_FLAGS="-DROLLED -O1 -g -fsanitize=address,undefined -fno-sanitize-recover=all" \
		$(BIN)/python setup.py -q build --build-base $(SANITIZED) --build-lib $(SANITIZED)/lib
	LD_PRELOAD="$$($(CC) -print-file-name=libasan.so) $$($(CC) -print-file-name=libubsan.so)" \
		ASAN_OPTIONS=detect_leaks=0 PYTHONPATH=$(SANITIZED)/lib \
		$(BIN)/python -m pytest tests/kernel tests/encoding/test_compiled.py -p no:cacheprovider

lint: $(INSTALLED)
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy

bench: $(INSTALLED)
	$(BIN)/dagfm --quiet data get ml-100k
	@set -e; for script in benchmarks/*.py; do \
		test -e "$$script" || { echo "no scripts in benchmarks/"; exit 1; }; \
		echo "== $$script"; $(BIN)/python "$$script"; done

clean:
	rm -rf .venv

# The stamp is written last, so an interrupted install is repeated. setuptools comes first and from the pins: with build
# isolation pip would fetch another one, unpinned.
$(INSTALLED): pyproject.toml constraints.txt setup.py $(wildcard src/dagfm/kernel/source/*)
	@test -n "$(PYTHON)" || { echo "dagfm needs Python 3.11 or newer: install it, or name it with make PYTHON=/path/to/python"; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "$(PYTHON) is not Python 3.11 or newer"; exit 1; }
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --constraint constraints.txt setuptools
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --no-build-isolation --editable '.[dev]'
	touch $@
