# `make help` says what there is. Needs Python 3.11+ with pip and venv; all else goes to .venv.

PYTHON ?= python3
ARGS ?=
SEEDS ?= 300
WORKERS ?= 4

VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install -q --disable-pip-version-check
COMPILE := $(BIN)/uv pip compile -q --universal --python-version 3.11 \
	--generate-hashes --no-emit-index-url --custom-compile-command 'make lock'

.DEFAULT_GOAL := help
.PHONY: help demo install test simulate check format man pictures package lock clean

help: ## this list
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/\1:\2/p' Makefile | \
	  while IFS=: read -r target text; do printf '  make %-9s%s\n' "$$target" "$$text"; done

demo: $(VENV)/.base ## enrich the sample companies against the built-in simulator, nothing to configure
	@$(BIN)/enricher demo $(ARGS)

install: $(VENV)/.dev ## .venv with enricher, its extras and the tools; then .venv/bin/enricher runs
	@echo "Ready: $(BIN)/enricher --help"

# A file stays together, since its tests share what is dear; the long ones come first.
test: $(VENV)/.dev ## the test suite in WORKERS=4 processes; ARGS="-k word -x" goes to pytest
	$(BIN)/python -m pytest -n $(WORKERS) --dist loadfile --no-loadscope-reorder $(ARGS)

simulate: $(VENV)/.dev ## disasters in virtual time: SEEDS=300; ARGS="--seed 17 -v" repeats one
	$(BIN)/python -m tests.simulation --seeds $(SEEDS) --jobs 2 $(ARGS)

check: $(VENV)/.dev ## format, lint, strict types, import directions, docs against --help
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/python -m pytest -q tests/test_architecture.py tests/test_docs.py

format: $(VENV)/.dev ## format the code and mend what the linter can mend
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

man: $(VENV)/.base ## manual pages into man/; then: man ./man/enricher.1
	$(BIN)/python -m tools.manpages man

pictures: $(VENV)/.dev ## the pictures of the README, from real runs; the report's needs Chromium
	$(BIN)/python -m tools.pictures docs/pictures

package: $(VENV)/.dev ## dist/: wheel and sdist, installed and tried with each extra alone; ARGS="excel db"
	$(BIN)/python -m tools.package $(ARGS)

# dev.txt first: the two others take their versions from it, so that all three agree.
lock: $(VENV)/.dev ## renew requirements/ after a change of pyproject.toml; ARGS=--upgrade: newest versions
	$(COMPILE) $(ARGS) pyproject.toml --all-extras --group dev -o requirements/dev.txt
	$(COMPILE) $(ARGS) pyproject.toml -c requirements/dev.txt -o requirements/base.txt
	$(COMPILE) $(ARGS) -c requirements/dev.txt --group build -o requirements/build.txt

clean: ## remove .venv, caches and builds
	rm -rf $(VENV) build dist man .mypy_cache .pytest_cache .ruff_cache .hypothesis
	find enricher tests tools -name __pycache__ -type d -prune -exec rm -rf {} +

# --- .venv: each stamp is newer than what was installed from -----------------------------------

# A .venv whose Python is gone (upgraded away) counts as none; so do its stamps.
$(shell test -x $(BIN)/python || rm -f $(VENV)/.base $(VENV)/.dev)

# A half-made .venv (no venv module) is not kept.
$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
	  found=$$($(PYTHON) -c 'import sys; print(sys.version.split()[0])' 2>/dev/null); \
	  echo "enricher needs Python 3.11 or newer; '$(PYTHON)' is $${found:-not there}." \
	    "Name another: make $(MAKECMDGOALS) PYTHON=python3.13" >&2; exit 1; }
	@$(PYTHON) -m venv --clear $(VENV) || { rm -rf $(VENV); exit 1; }

# What runs enricher, and the build backend that installs it from the checkout.
$(VENV)/.base: $(BIN)/python requirements/base.txt requirements/build.txt pyproject.toml
	@echo "Installing enricher into $(VENV) …"
	@$(PIP) --require-hashes -r requirements/base.txt -r requirements/build.txt
	@$(PIP) --no-deps --no-build-isolation -e .
	@touch $@

# On top of it, and never less: dev.txt holds base.txt and build.txt with the same versions.
$(VENV)/.dev: $(VENV)/.base requirements/dev.txt
	@echo "Installing extras and tools …"
	@$(PIP) --require-hashes -r requirements/dev.txt
	@touch $@
