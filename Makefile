# The project's verbs. Each needs nothing but Python 3.11 or newer and make; `make` alone lists them.
PYTHON ?= python3
VENV ?= .venv
RUN = $(VENV)/bin
.DEFAULT_GOAL := help
.PHONY: help setup test lint bench clean

help: ## what can be made
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /  make \1\t/' | expand -t 20

setup: $(VENV)/.ready ## a virtual environment with everything the project needs

$(VENV)/.ready: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(RUN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev]'
	touch $@

test: setup lint ## every check and test
	$(RUN)/python -m pytest --numprocesses auto

lint: setup
	$(RUN)/ruff check .
	$(RUN)/ruff format --check .
	$(RUN)/mypy

bench: setup ## the benchmarks' tables
	$(RUN)/python benchmarks/provisioning.py
	$(RUN)/python benchmarks/handlers.py

clean: ## the virtual environment and every cache
	rm -rf $(VENV) .mypy_cache .pytest_cache .ruff_cache
