# Each target works on a fresh checkout: Python 3.11+ and make are enough.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

.DEFAULT_GOAL := help

help: ## this list
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 14

$(READY): requirements.lock pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

setup: $(READY) ## build .venv from the lock

run: $(READY) ## one ECM run on the sample data
	@$(BIN)/aspora run ecm || test $$? -eq 4

up: $(READY) ## everything on this machine: Prefect server, worker, gateway, services
	@$(BIN)/aspora up

test: $(READY) ## the tests, within five minutes
	$(BIN)/pytest -n 2 --dist loadgroup -m "not full"

test-all: $(READY) ## what test leaves out: servers, faults, documentation
	$(BIN)/pytest -n 4 --dist loadfile --no-loadscope-reorder -m full --durations 20

lint: $(READY) ## ruff, types, import contracts
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: $(READY) ## speed, as ratios in one run, into docs/performance.md
	$(BIN)/aspora bench --page docs/performance.md

eval: $(READY) ## quality: every evaluation on the data that is there, into docs/quality.md
	$(BIN)/aspora eval --page docs/quality.md

faults: $(READY) ## kills, cuts and fills at random what runs, for half an hour; the table into docs/reliability.md
	$(BIN)/python -m tests.faults --page docs/reliability.md

dashboards: $(READY) ## writes grafana/dashboards from grafana/build
	$(BIN)/python -m grafana.build

pictures: $(READY) ## draws the dashboards with sample data into docs/pictures
	$(BIN)/python -m tests.pictures

lock: $(READY) ## renew requirements.lock
	$(BIN)/uv pip compile --universal --python-version 3.11 --generate-hashes --extra dev --no-emit-index-url --no-emit-find-links --output-file requirements.lock pyproject.toml

.PHONY: help setup run up test test-all lint bench eval faults dashboards pictures lock
