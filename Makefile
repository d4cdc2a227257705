# The commands of the README. `make run` and `make test` need nothing but Python 3.11, Node 20 and make.
.DEFAULT_GOAL := help
SHELL := /bin/bash
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: help setup setup-python setup-web setup-debian run test test-fast lint bench e2e lock clean

help: ## List the commands
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | sort | column -t -s "$$(printf '\t')"

setup: setup-python setup-web ## Install everything into .venv and web/node_modules, build web/dist

$(VENV)/.setup-stamp: requirements.lock pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	touch $@

setup-python: $(VENV)/.setup-stamp

web/node_modules/.setup-stamp: web/package-lock.json web/package.json
	cd web && npm ci --ignore-scripts --no-progress --loglevel=error
	touch $@

web/dist/.build-stamp: web/node_modules/.setup-stamp $(shell find web/src web/public web/*.html web/*.mjs web/tsconfig.json -type f 2>/dev/null)
	cd web && npm run --silent build
	touch $@

setup-web: web/dist/.build-stamp

setup-debian: ## Install the Debian packages that tests use (as root; says what is missing otherwise)
	@bash tests/debian-packages.sh

run: setup ## Serve the gateway with the demo bank; LAN=no leaves phones on the network out
	$(BIN)/tessera serve --demo $(if $(filter no,$(LAN)),,--lan)

test: setup setup-debian ## Run every test there is, with a summary of what was skipped and why
	@bash tests/run-all.sh

test-fast: setup ## Run the tests that need neither a browser nor a database server
	$(BIN)/python -m pytest -m "not e2e and not postgresql"

e2e: setup setup-debian ## Run the browser tests alone and leave screenshots in tests/e2e/screenshots
	$(BIN)/python -m pytest -m e2e tests/e2e

lint: setup ## Run ruff, mypy, import-linter, eslint and tsc
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	cd web && npm run --silent lint

bench: setup ## Measure, each beside a bound of the same run
	$(BIN)/tessera bench all

lock: ## Resolve the Python dependencies anew
	$(BIN)/python -m pip install --quiet uv
	$(BIN)/uv pip compile pyproject.toml --all-extras --generate-hashes --no-emit-index-url --no-header -o requirements.lock --upgrade
	$(BIN)/uv pip compile pyproject.toml --extra postgresql --extra build --generate-hashes --no-emit-index-url --no-header -o docker/requirements.lock --upgrade

clean: ## Remove what was installed and built
	rm -rf $(VENV) web/node_modules web/dist
