# The commands for developers and operators. `make` without a target lists them.
PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
BENCH := .venv-bench
JS_CLIENT := tests/compat/node_modules/.installed

.DEFAULT_GOAL := help
.PHONY: help run test check fix lock bench bench-self

help:  ## List these commands
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/\t/' | expand -t 12

run: $(VENV)/.installed .env  ## Set up, seed the demo and serve it on http://127.0.0.1:8000
	@$(BIN)/python manage.py quickstart

# Tests and checks need secrets, but no .env: with DEBUG on, secrets are generated.
test check fix: export DEBUG := on
# Every process that a test starts would compile the code anew.
test: export PYTHONDONTWRITEBYTECODE :=

test: $(VENV)/.installed-dev $(JS_CLIENT)  ## Install what the tests need and run them
	@$(BIN)/python -m pytest -m alone $(ARGS) || [ $$? -eq 5 ]  # 5: none of them was asked for
	@$(BIN)/python -m pytest -m "not alone" -n 4 $(ARGS)

check: $(VENV)/.installed-dev  ## Format, lint, import rules, types, migrations, deploy settings
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/djhtml --check --tabwidth 2 templates
	@$(BIN)/lint-imports
	@$(BIN)/mypy
	@$(BIN)/python manage.py makemigrations --check --dry-run
	@SECRET_KEY=$$($(BIN)/python -c 'import secrets; print(secrets.token_urlsafe(64))') \
	  FIELD_KEYS=$$($(BIN)/python -c 'from cryptography.fernet import Fernet; print(Fernet.generate_key().decode())') \
	  DEBUG=off ALLOWED_HOSTS=example.com $(BIN)/python manage.py check --deploy --fail-level WARNING

fix: $(VENV)/.installed-dev  ## Format the code and mend what ruff can mend
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .
	@$(BIN)/djhtml --tabwidth 2 templates

bench: $(VENV)/.installed-dev $(BENCH)/.installed  ## Measure beside LangServe (needs PostgreSQL, two cores, ten minutes)
	@$(BIN)/python -m benchmarks $(ARGS)

bench-self: $(VENV)/.installed-dev  ## Measure beside another commit, BASE=<rev>; default: where the branch left main
	@$(BIN)/python -m benchmarks.revisions $(BASE) $(ARGS)

lock: $(VENV)/.installed-dev  ## Resolve requirements*.in again, with hashes
	@$(BIN)/uv pip compile $(LOCK) requirements.in -o requirements.txt
	@$(BIN)/uv pip compile $(LOCK) requirements-anthropic.in -c requirements.txt -o requirements-anthropic.txt
	@$(BIN)/uv pip compile $(LOCK) requirements-dev.in -c requirements.txt -c requirements-anthropic.txt -o requirements-dev.txt
	@$(BIN)/uv pip compile $(LOCK) benchmarks/requirements.in -c requirements.txt -o benchmarks/requirements.txt

LOCK := --universal --generate-hashes --python-version 3.11 --no-emit-index-url --no-header --no-annotate --quiet --upgrade

$(VENV)/bin/python:
	@$(PYTHON) -m venv $(VENV)

$(BENCH)/.installed: benchmarks/requirements.txt
	@test -x $(BENCH)/bin/python || $(PYTHON) -m venv $(BENCH)
	@$(BENCH)/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r $<
	@touch $@

$(VENV)/.installed: requirements.txt | $(VENV)/bin/python
	@echo "Installing ChainHub's requirements into $(VENV) (first time only) ..."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.txt
	@touch $@

$(VENV)/.installed-dev: requirements-dev.txt $(VENV)/.installed
	@echo "Installing what the tests need into $(VENV) ..."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-dev.txt
	@touch $@

# LangServe's JavaScript client, for the tests that use it. Without npm these tests are skipped.
$(JS_CLIENT): tests/compat/package.json tests/compat/package-lock.json
	@command -v npm >/dev/null || exit 0; \
	  echo "Installing LangServe's JavaScript client for the tests ..." && \
	  npm ci --prefix tests/compat --loglevel=error --no-audit --no-fund --ignore-scripts && touch $@

.env:
	@cp .env.example .env
