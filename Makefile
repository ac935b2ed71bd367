# Set-up happens once, by itself, and again when pyproject.toml or constraints.txt change; after it nothing here needs
# the network. `make PYTHON=python3.12 test` picks another interpreter for the set-up.
PYTHON ?= python3
VENV := .venv
PY := $(VENV)/bin/python
READY := $(VENV)/.ready
TYPING := build/typing
JOBS ?= 2

.PHONY: demo test format lint types docs fuzz bench gallery generalist clean
.DEFAULT_GOAL := test

$(READY): pyproject.toml constraints.txt
	test -x $(PY) || $(PYTHON) -m venv $(VENV)
	$(PY) -m pip install --quiet --disable-pip-version-check --editable '.[dev]' --constraint constraints.txt
	touch $(READY)

demo: $(READY)  ## train one tiny model on three tasks of real data, write an HTML report
	$(PY) -m omniline demo

test: $(READY)  ## all tests, JOBS=2 files at a time, a thread each
	OMP_NUM_THREADS=1 $(PY) -m pytest -n $(JOBS) --dist loadfile

format: $(READY)  ## rewrite the files as ruff wants them
	$(VENV)/bin/ruff check --fix-only --quiet .
	$(VENV)/bin/ruff format --quiet .

lint: $(READY)  ## ruff, without changing anything
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .

# mypy wants a folder that is named as the package is: a link gives it one.
types: $(READY)  ## mypy, strict
	mkdir -p $(TYPING)
	ln -sfn ../.. $(TYPING)/omniline
	cd $(TYPING) && $(CURDIR)/$(VENV)/bin/mypy --config-file $(CURDIR)/pyproject.toml --cache-dir $(CURDIR)/.mypy_cache -p omniline

docs: $(READY)  ## run every code block of the docs and every docstring's example
	$(PY) -m pytest $(wildcard tests/docs) tests/house/test_doctests.py

fuzz: $(READY)  ## changed bytes for all that reads, ten minutes; ONLY=bundle picks some, MINUTES=60 goes on for longer
	cd tests && $(CURDIR)/$(PY) -m fuzz $(ONLY) --minutes $(or $(MINUTES),10)

bench: $(READY)  ## measure speed and memory, write docs/performance.md; ONLY=compile,start picks sections
	cd tests && $(CURDIR)/$(PY) -m bench $(ONLY)

gallery: $(READY)  ## train every preset whose page is out of date, write docs/gallery/; ONLY=captioning picks some
	$(PY) docs/gallery.py $(if $(ONLY),--only $(ONLY))

generalist: $(READY)  ## one model on all modalities against one specialist per task, write docs/generalist.md
	$(PY) docs/generalist.py

clean:  ## remove what the targets made, except the environment
	rm -rf build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis demo-out
