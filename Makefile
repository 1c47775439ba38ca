# The project's verbs. Each needs nothing but Python 3.11 or newer and make; `make` alone lists them.
PYTHON ?= python3
VENV ?= .venv
RUN = $(VENV)/bin
PYTEST = $(RUN)/python -m pytest --dist worksteal
.DEFAULT_GOAL := help
# Where it is set, each of the hundreds of processes that the tests start would compile all that it imports once more.
unexport PYTHONDONTWRITEBYTECODE
.PHONY: help setup python demo test tests quick lint format schema lock dist matrix bench bench-local pictures clean

help: ## what can be made
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /  make \1\t/' | expand -t 20

setup: $(VENV)/.ready ## a virtual environment with everything the project needs

# The first stamp is of what iotpipe itself needs, the second of what its tests need besides. uv takes a tenth of pip's
# time. It does not read pip's settings: where it does not find the packages, as behind a mirror that only pip knows of,
# pip installs them. Python compiles what is imported; to compile all takes longer than to install it.
PIP_INSTALL = $(RUN)/python -m pip install --quiet --disable-pip-version-check --no-compile
INSTALL = { $(PIP_INSTALL) uv && $(RUN)/uv pip install --quiet --python $(RUN)/python --constraint constraints.txt \
  --editable $(1); } 2>/dev/null || $(PIP_INSTALL) --constraint constraints.txt --editable $(1)

# Written for any Python: it says so to one that is too old.
NEW_ENOUGH = import sys; sys.exit(sys.version_info < (3, 11) and \
  "iotpipe needs Python 3.11 or newer, and $(1) is Python %s. $(2)" % sys.version.split()[0])
VERSION = import sys; print("Python %d.%d" % sys.version_info[:2])
OTHER = Name another one: make setup PYTHON=python3.12

# Whether $(VENV) is, or can be made, of a Python that will do; and of the one that PYTHON names, if somebody said it.
python:
	@if [ -x $(RUN)/python ]; then \
	  $(RUN)/python -c '$(call NEW_ENOUGH,that of $(VENV),Remove it with: rm -rf $(VENV))' || exit 1; \
	  [ '$(origin PYTHON)' = file ] || { \
	    there=$$($(RUN)/python -c '$(VERSION)'); asked=$$($(PYTHON) -c '$(VERSION)') || exit 1; \
	    [ "$$there" = "$$asked" ] || { \
	      echo "$(VENV) is there already, with $$there, and not with $$asked. Remove it with: rm -rf $(VENV)" >&2; exit 1; }; }; \
	else \
	  command -v $(PYTHON) >/dev/null || { echo "there is no $(PYTHON) here. $(OTHER)" >&2; exit 1; }; \
	  $(PYTHON) -c '$(call NEW_ENOUGH,$(PYTHON),$(OTHER))' || exit 1; \
	fi

# Makes the virtual environment where there is none.
VENV_THERE = [ -x $(RUN)/python ] || { echo "making $(VENV)"; $(PYTHON) -m venv $(VENV); }

$(VENV)/.usable: pyproject.toml constraints.txt | python
	@$(VENV_THERE)
	@echo "installing iotpipe and the AWS on this machine, which takes some 5 seconds"
	@$(call INSTALL,'.[local]')
	@touch $@

$(VENV)/.ready: pyproject.toml constraints.txt | python
	@$(VENV_THERE)
	@echo "installing iotpipe and what its checks and tests need, which takes some 10 seconds"
	@$(call INSTALL,'.[dev]')
	@touch $(VENV)/.usable $@

demo: $(VENV)/.usable ## the whole pipeline on this machine: up, readings in, each followed, answers out, a device over MQTT
	$(RUN)/iotpipe up --env local
	$(RUN)/iotpipe send-test-data --env local --count 2 --bad 2
	$(RUN)/iotpipe send-test-data --env local --verify
	$(RUN)/iotpipe query --env local sensor-001 --limit 24
	$(RUN)/iotpipe device add demo-roof --env local --out $(VENV)/demo
	$(RUN)/iotpipe device test demo-roof --env local --out $(VENV)/demo
	$(RUN)/iotpipe device remove demo-roof --env local --yes
	@rm -r $(VENV)/demo
	@printf '%s\n' '' 'One of the two bad ones was refused; the other fails again and again, and is a dead letter 18 s later:' \
	  '  $(RUN)/iotpipe dlq list               shows it' \
	  '' 'The pipeline is up on this machine. See all of it live in a browser:' \
	  '  $(RUN)/iotpipe view' \
	  '' 'Or go on with:' \
	  '  $(RUN)/iotpipe status                 how it is doing' \
	  '  $(RUN)/iotpipe logs                   what the functions say' \
	  '  $(RUN)/iotpipe graph                  how data flows through it' \
	  '  $(RUN)/iotpipe device add roof        enrols a device, with examples that publish its readings' \
	  '  $(RUN)/iotpipe down --delete-data     takes it down and leaves nothing' \
	  'and for a real account, read "On AWS" in README.md.'

# The tests begin while the code is still being checked: where a test waits, that has a processor.
test: setup ## every check, and every test, some of them with a sample of their cases
	@$(MAKE) --no-print-directory --jobs 2 lint tests

# Three workers for two cores: one of them mostly waits for the AWS on this machine.
tests: setup
	$(PYTEST) --numprocesses $$(( $$(getconf _NPROCESSORS_ONLN) * 3 / 2 ))

# pyproject.toml says what the markers mean.
quick: setup ## while you work: one case of each test that needs no other process, without lint
	$(PYTEST) --numprocesses auto --cases 1 -m 'not (browser or build or embedded or matrix or server or subprocess)'

lint: setup
	$(RUN)/ruff check .
	$(RUN)/ruff format --check .
	$(RUN)/mypy

format: setup ## the code, formatted and with its imports sorted
	$(RUN)/ruff check --select I --fix --quiet .
	$(RUN)/ruff format .

schema: setup ## config/schema.json, from the settings in iotpipe/configuration/model.py
	$(RUN)/python -c 'from iotpipe.configuration import starter_files as files; print(files()["schema.json"], end="")' \
	  > config/schema.json.new
	@mv config/schema.json.new config/schema.json

# uv resolves for every Python and platform at once, and keeps the versions that constraints.txt has already. It has an
# environment of its own: setup fails where pyproject.toml and constraints.txt contradict each other.
lock: python ## constraints.txt, from pyproject.toml; make lock UPGRADE=--upgrade takes the newest versions
	@$(PYTHON) -m venv $(VENV)/uv
	@$(VENV)/uv/bin/python -m pip install --quiet --disable-pip-version-check uv
	$(VENV)/uv/bin/uv pip compile --quiet --universal --python-version 3.11 --all-extras --no-annotate $(UPGRADE) \
	  --custom-compile-command 'make lock' --output-file constraints.txt pyproject.toml

dist: setup ## the release in dist/: a wheel and a source archive
	$(RUN)/python -m hatchling build

# -rP prints the figures of the first run.
matrix: setup ## every case of which make test takes a sample, 40,000 readings, 2,000 questions, and every call with every fault
	$(PYTEST) --numprocesses auto --whole -m 'sampled or hypothesis'
	@$(call INSTALL,'.[parquet]')
	$(PYTEST) tests/readings/test_parquet.py
	$(PYTEST) tests/handlers/whole_no_loss.py tests/handlers/whole_buckets.py --numprocesses auto -rP
	$(PYTEST) tests/local/whole_device_no_loss.py -rP
	$(PYTEST) tests/pipeline/whole_matrix.py --numprocesses auto

bench: setup ## the benchmarks' tables
	$(RUN)/python benchmarks/provisioning.py
	$(RUN)/python benchmarks/handlers.py

bench-local: setup ## the table of the pipeline on this machine with up to 300,000 readings, some 15 minutes
	$(RUN)/python benchmarks/local.py

pictures: setup ## the pictures of README.md, from a pipeline that gets readings for a quarter of an hour
	$(RUN)/python -m docs.pictures.make

clean: ## the virtual environment, what was built and every cache
	rm -rf $(VENV) dist .mypy_cache .pytest_cache .ruff_cache
