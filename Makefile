# Everything a person does with this checkout. `make help` lists it.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
MAKEFLAGS += --no-builtin-rules --jobs=2 # Python and the front ends are set up side by side.

PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet --quiet
WEB := src/forecourt/api/web
WEB_SOURCES := $(shell find apps -type d \( -name node_modules -o -name e2e \) -prune -o -type f -print)
SOAK_MINUTES ?= 60

# Stamps: what is newer than its stamp is done again, and nothing else. They lie in what they stand for, so
# that removing the folder removes the claim.
VENV_MADE := $(VENV)/.stamp-made
RUN_LOCK := $(VENV)/.stamp-run-lock
DEV_LOCK := $(VENV)/.stamp-dev-lock
PROJECT := $(VENV)/.stamp-project
NPM_LOCK := apps/node_modules/.stamp-lock
WEB_BUILT := $(WEB)/terminal/index.html

# One environment, two locks: only one of them is installed in one call of make.
DEV_GOALS := install test check bench soak soak-once fix package
LIBRARIES := $(if $(filter $(DEV_GOALS),$(MAKECMDGOALS)),$(DEV_LOCK),$(RUN_LOCK))

say = @printf '\033[1m── %s\033[0m\n' '$(1)'

##@ Use it

.PHONY: run
run: $(PROJECT) web ## Set up what is missing and start the demo: every energy, virtual vehicles, virtual payment channels
	$(call say,starting the demo; end it with Ctrl-C)
	@exec $(BIN)/forecourt up --demo

.PHONY: install
install: $(PROJECT) web ## Set up everything without starting anything (Python environment, front ends)

.PHONY: web
web: $(WEB_BUILT) ## Build the screens into the Python package

##@ Prove it

.PHONY: test
test: $(PROJECT) web ## Start the services that are missing, then run all tests
	$(call say,services: databases and broker and browser)
	@exports="$$(tools/services.sh up)"; eval "$$exports"; \
	printf '\033[1m── tests of the centre, the edge, the simulators\033[0m\n'; \
	if [ -n "$(TESTS)" ]; then exec $(BIN)/python -m pytest -q $(TESTS); fi; \
	$(BIN)/python -m pytest -q --numprocesses=2 --dist=loadfile --ignore=tests/journeys; \
	printf '\033[1m── journeys: real processes, whole stories\033[0m\n'; \
	$(BIN)/python -m pytest -q tests/journeys
	$(call say,tests of the front ends)
	@cd apps && npm test --silent

.PHONY: check
check: $(PROJECT) $(NPM_LOCK) ## Lint, types, import contracts, house rules, docs; Python and front ends
	@$(BIN)/python tools/check.py
	$(call say,front ends: lint and types)
	@cd apps && npm run --silent lint && npm run --silent types

.PHONY: verify
verify: $(PROJECT) ## Recompute every invariant of the books of the demo data
	@$(BIN)/forecourt verify

.PHONY: bench
bench: $(PROJECT) ## Measure ingest, checkout and push against their limits
	@$(BIN)/forecourt bench

.PHONY: soak
soak: $(PROJECT) ## Fuzzing, kills and power cuts with new seeds for SOAK_MINUTES=60; never in CI
	@exports="$$(tools/services.sh up)"; eval "$$exports"; \
	end=$$(( $$(date +%s) + 60 * $(SOAK_MINUTES) )); round=0; \
	while (( $$(date +%s) < end )); do \
		round=$$(( round + 1 )); seed=$$(( RANDOM * 32768 + RANDOM )); \
		printf '\033[1m── round %s, seed %s: repeat it with SEED=%s make soak-once\033[0m\n' $$round $$seed $$seed; \
		SEED=$$seed $(MAKE) --no-print-directory soak-once; \
	done

.PHONY: soak-once
soak-once: $(PROJECT) ## One round of the soak; SEED=number repeats a round
	@FORECOURT_SOAK=1 $(BIN)/python -m pytest -q --timeout=1800 --hypothesis-profile=soak --hypothesis-seed=$${SEED:-0} $(TESTS)

##@ Work on it

.PHONY: fix
fix: $(PROJECT) ## Format, and repair what the checks can repair by themselves
	@$(BIN)/python tools/check.py --fix ruff format drawings reference

.PHONY: services
services: ## Install (as root, with apt) and start the databases, the broker and the browser that tests use
	@tools/services.sh up

.PHONY: lock
lock: ## Compile both lock files again from pyproject.toml (needs uv)
	@command -v uv >/dev/null || { echo 'make lock needs uv: python3.11 -m pip install uv'; exit 1; }
	uv pip compile pyproject.toml --quiet --python-version 3.11 --generate-hashes --no-header --no-emit-index-url \
		--extra services --extra build --output-file requirements.lock
	uv pip compile pyproject.toml --quiet --python-version 3.11 --generate-hashes --no-header --no-emit-index-url \
		--extra dev --constraint requirements.lock --output-file requirements-dev.lock

.PHONY: package
package: $(PROJECT) web ## Build wheel and sdist, front ends inside, into dist/
	@$(BIN)/python -m build --no-isolation

.PHONY: clean
clean: ## Remove the environment, the built screens and the caches; never data
	rm -rf $(VENV) $(WEB) apps/node_modules apps/*/node_modules apps/packages/*/node_modules dist
	rm -rf .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache

.PHONY: help
help: ## Show this list
	@awk 'BEGIN {FS = ":.*## "} \
		/^##@ / {printf "\n\033[1m%s\033[0m\n", substr($$0, 5)} \
		/^[a-z-]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' $(firstword $(MAKEFILE_LIST))
	@echo

$(VENV_MADE):
	@tools/needs.sh python '$(PYTHON)'
	$(call say,Python environment in $(VENV))
	@[ -x $(BIN)/python ] || '$(PYTHON)' -m venv $(VENV)
	@$(BIN)/python -m pip --version >/dev/null 2>&1 || $(BIN)/python -m ensurepip
	@touch $@

$(RUN_LOCK): requirements.lock $(VENV_MADE)
	$(call say,Python libraries (about a minute the first time))
	@$(PIP) install --require-hashes --requirement requirements.lock
	@touch $@

# The development lock holds all that the other holds, in the same versions: it may stand in for it.
$(DEV_LOCK): requirements-dev.lock $(VENV_MADE)
	$(call say,Python libraries for development (about a minute the first time))
	@$(PIP) install --require-hashes --requirement requirements-dev.lock
	@touch $@ $(RUN_LOCK)

$(PROJECT): pyproject.toml hatch_build.py $(LIBRARIES)
	$(call say,the project itself)
	@$(PIP) install --no-deps --no-build-isolation --editable .
	@touch $@

$(NPM_LOCK): apps/package-lock.json
	@tools/needs.sh node
	$(call say,libraries of the front ends)
	@cd apps && npm ci --ignore-scripts --no-audit --no-fund --loglevel=error >/dev/null
	@touch $@

$(WEB_BUILT): $(WEB_SOURCES) $(NPM_LOCK)
	$(call say,building the screens)
	@cd apps && { npm run --silent build >node_modules/.build.log 2>&1 || { cat node_modules/.build.log; exit 1; }; }
	@touch $@

