# Installs and runs everything in $(VENV). Needs Python 3.11, make and a package index, no more.
VENV ?= .venv
PYTHON ?=
ARGS ?=
# one more than there are cores, as some tests wait
JOBS ?= $(shell echo $$(($$(getconf _NPROCESSORS_ONLN) + 1)))
DEVICE ?= cuda
WHEELS ?= wheels

.DEFAULT_GOAL := help
.PHONY: help setup quickstart test lint figures docs lock gpu-check gpu-check-wheels clean

STAMP := $(VENV)/.installed
# The documentation needs little: it has an environment of its own.
DOCS := build/docs-venv
RUN := $(VENV)/bin/python

# Python is looked for in recipes only, so that a call with nothing to install starts none.
candidates = $(or $(PYTHON),python3.11 python3 python)
version = $(shell $(1) -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null)
fitting = $(firstword $(foreach p,$(candidates),$(if $(filter 3.11,$(call version,$(p))),$(p))))
found = $(or $(strip $(foreach p,$(candidates),$(if $(call version,$(p)),$(call version,$(p)) ($(p))))),none)
complaint = Python 3.11 is needed for the simulators, found $(found): run make PYTHON=/path/to/python3.11

help: ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## /\1 /p' Makefile | while read -r target what; do \
		printf 'make %-16s %s\n' "$$target" "$$what"; done
	@echo 'Options: PYTHON=/path/to/python3.11, VENV=another/environment, ARGS="more arguments", JOBS=0'

setup: $(STAMP) ## make .venv and install the pinned packages, if not done yet

$(STAMP): requirements/lock.txt requirements/no-deps.txt pyproject.toml
	@sh requirements/install.sh $(or $(fitting),$(error $(complaint))) $(VENV)

quickstart: $(STAMP) ## train and rank five methods on four tasks, in minutes
	unset OMP_NUM_THREADS; $(RUN) -m benchmarks.run --suite tight \
		--tasks BallRun BallCircle CarRun DroneRun \
		--algorithms gas cdt cpq coptidice bc-safe \
		--budget quick --data generated --name my-quickstart $(ARGS)

# compiled tests are kept for the next run: each process takes 6 s less to read them
test: $(STAMP) ## run the tests, on every core (JOBS=0: in one process)
	unset PYTHONDONTWRITEBYTECODE; $(RUN) -m pytest -n $(JOBS) --dist loadfile $(ARGS)

lint: $(STAMP) ## check style, types and the direction of imports
	$(VENV)/bin/ruff check
	$(VENV)/bin/ruff format --check
	$(VENV)/bin/mypy
	$(VENV)/bin/lint-imports --no-cache

figures: $(STAMP) ## fill the tables of the documents and draw their pictures from results/
	$(RUN) -m tools.figures

docs: $(DOCS)/.installed ## build the documentation in build/site
	NO_MKDOCS_2_WARNING=1 $(DOCS)/bin/python -m mkdocs build --strict

$(DOCS)/.installed: requirements/docs.txt
	@$(or $(fitting),$(error $(complaint))) -m venv --clear $(DOCS)
	@echo "installing $$(grep -c == $<) packages into $(DOCS)"
	@$(DOCS)/bin/python -m pip install -qq --no-input --disable-pip-version-check -r $<
	@touch $@

lock: $(STAMP) ## pin today's versions anew in requirements/
	$(RUN) requirements/lock.py $(ARGS)

# On a machine without a network, `make gpu-check PYTHON=python3` takes a Python that has torch.
gpu-check: $(if $(PYTHON),,$(STAMP)) ## check a machine with a GPU in 8 minutes; DEVICE=cpu rehearses
	$(or $(PYTHON),$(RUN)) -m benchmarks.measures.gpu_check --device $(DEVICE) --wheels $(WHEELS) \
		$(ARGS)

gpu-check-wheels: $(STAMP) ## download wheels that gpu-check may lack on a machine without a network
	$(RUN) requirements/wheels.py $(WHEELS)

clean: ## remove the environment, caches and build products; results stay
	@if [ -e "$(VENV)/pyvenv.cfg" ] || [ -e "$(VENV)/.unfinished" ]; then rm -rf "$(VENV)"; fi
	@rm -rf build dist *.egg-info .hypothesis .mypy_cache .pytest_cache .ruff_cache
	@find gas baselines benchmarks tests tools requirements -name __pycache__ -prune -exec rm -rf {} +
