# The project's verbs. Each needs nothing but Python 3.11 or newer and make; `make` alone lists them.
PYTHON ?= python3
VENV ?= .venv
RUN = $(VENV)/bin
.DEFAULT_GOAL := help
.PHONY: help setup demo test lint matrix bench clean

help: ## what can be made
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /  make \1\t/' | expand -t 20

setup: $(VENV)/.ready ## a virtual environment with everything the project needs

$(VENV)/.ready: pyproject.toml constraints.txt
	@echo "setting up $(VENV), which takes a minute or two"
	@$(PYTHON) -m venv $(VENV)
	@$(RUN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev]'
	@touch $@

demo: setup ## the whole pipeline on this machine: up, readings in, each followed, answers out
	$(RUN)/iotpipe up --env local
	$(RUN)/iotpipe send-test-data --env local --bad 2 --verify
	$(RUN)/iotpipe query --env local sensor-001 --limit 24 --order desc
	@printf '%s\n' '' 'The pipeline is up on this machine. Go on with:' \
	  '  $(RUN)/iotpipe status                 how it is doing' \
	  '  $(RUN)/iotpipe logs                   what the functions say' \
	  '  $(RUN)/iotpipe dlq list               what could not be processed, and why' \
	  '  $(RUN)/iotpipe graph                  what it is made of' \
	  '  $(RUN)/iotpipe down --delete-data     takes it down and leaves nothing' \
	  'and for a real account, read "On AWS" in README.md.'

# Three workers for two cores: many tests wait for a process of their own.
test: setup lint ## every check and test
	$(RUN)/python -m pytest --numprocesses $$(( $$(getconf _NPROCESSORS_ONLN) * 3 / 2 )) --dist worksteal

lint: setup
	$(RUN)/ruff check .
	$(RUN)/ruff format --check .
	$(RUN)/mypy

matrix: setup ## every call of up, of a change and of down with every fault (test takes a sample)
	$(RUN)/python -m pytest tests/pipeline/whole_matrix.py --numprocesses auto --dist worksteal

bench: setup ## the benchmarks' tables
	$(RUN)/python benchmarks/provisioning.py
	$(RUN)/python benchmarks/handlers.py

clean: ## the virtual environment and every cache
	rm -rf $(VENV) .mypy_cache .pytest_cache .ruff_cache
