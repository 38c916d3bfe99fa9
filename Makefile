# Two commands on a fresh machine (Python 3.11+, make): `make run` and `make test`.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin

export PIP_DISABLE_PIP_VERSION_CHECK := 1
export PYRIGHT_PYTHON_IGNORE_WARNINGS := 1

.PHONY: run test coverage schedules browser clean-clone docs docs-serve lint style types watch-check deploy-check bench bench-control ci clean

run: $(VENV)/.ready-run
	$(BIN)/backstay run --simulator

test: $(VENV)/.ready-test
	$(BIN)/python -m pytest $(PYTEST_ARGS)

# Every branch of protocol, session and supervisor is met by tests of these rooms; the lives under faults prove other things.
COVERED := tests/protocol tests/session tests/supervisor
COVERED += --ignore=tests/session/test_schedules.py --ignore=tests/session/test_driver_finds_faults.py

coverage: export CI := 1
coverage: $(VENV)/.ready-test
	$(BIN)/coverage erase
	$(BIN)/coverage run -m pytest -q --numprocesses=2 $(COVERED) $(PYTEST_ARGS)
	$(BIN)/coverage combine -q
	$(BIN)/coverage report

# Lives of a session under simulated faults: ten thousand in under two minutes, if two cores are free.
schedules: $(VENV)/.ready-test
	$(BIN)/python tests/session/schedules_run.py many $(or $(SCHEDULES),10000)

# The status page in a real browser: needs Debian's chromium, so it is no part of `make test`.
browser: $(VENV)/.ready-test
	$(BIN)/python -m pytest -n0 --browser tests/browser $(PYTEST_ARGS)

# The quickstart as a newcomer types it: a clone of the last commit, with an environment of its own; with BACKSTAY_CI set on
# the ports of the page, else on others.
clean-clone: $(VENV)/.ready-test
	$(BIN)/python -m pytest -n0 --clean-clone tests/pages/test_clean_clone.py $(PYTEST_ARGS)

# The documentation as a site in build/site; a broken link fails.
docs: $(VENV)/.ready-docs
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --quiet --strict

# The same at the address that alerts link to, until it is interrupted.
docs-serve: docs
	$(BIN)/python -m http.server --bind 127.0.0.1 --directory build/site 8000

lint: style types

style: $(VENV)/.ready-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/.ready-dev
	$(BIN)/mypy
	$(BIN)/pyright --pythonpath $(BIN)/python

bench: $(VENV)/.ready-test
	$(BIN)/python bench/run.py $(BENCH_ARGS)

bench-control: $(VENV)/.ready-test
	$(BIN)/python bench/control.py $(BENCH_ARGS)

# Rules, alerts and dashboards, with the tools of Prometheus; says what it could not check for want of a tool.
watch-check: $(VENV)/.ready-watch
	$(BIN)/python -m deploy.watch.check

# Container, compose, Kubernetes and systemd files, with the tools of those who read them.
deploy-check: $(VENV)/.ready-deploy
	$(BIN)/python -m deploy.packages.check

# What a change has to pass: lint, types, tests, and the tests once more against the built wheel.
ci:
	bash .ci/run

# Each stamp stands for one set of installed packages; a larger set covers the smaller ones.
$(VENV)/.ready-venv:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	{ echo "backstay needs Python 3.11 or newer: make PYTHON=/path/to/python3.11 ..." >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)
	@touch $@

# Dependency groups need a newer pip than older Pythons bring; `make run` does without.
$(VENV)/.ready-pip: $(VENV)/.ready-venv
	$(BIN)/python -m pip install -qq --upgrade "pip>=25.1"
	@touch $@

$(VENV)/.ready-run: $(VENV)/.ready-venv pyproject.toml
	$(BIN)/python -m pip install -qq --editable .
	@touch $@

$(VENV)/.ready-test: $(VENV)/.ready-pip pyproject.toml
	$(BIN)/python -m pip install -qq --editable . --group test
	@touch $(VENV)/.ready-run $@

$(VENV)/.ready-watch: $(VENV)/.ready-pip pyproject.toml
	$(BIN)/python -m pip install -qq --editable . --group watch
	@touch $(VENV)/.ready-run $(VENV)/.ready-test $@

$(VENV)/.ready-dev: $(VENV)/.ready-pip pyproject.toml
	$(BIN)/python -m pip install -qq --editable . --group dev
	@touch $(VENV)/.ready-run $(VENV)/.ready-test $(VENV)/.ready-watch $@

$(VENV)/.ready-docs: $(VENV)/.ready-pip pyproject.toml
	$(BIN)/python -m pip install -qq --editable . --group docs
	@touch $@

$(VENV)/.ready-deploy: $(VENV)/.ready-test
	$(BIN)/python -m pip install -qq --group deploy
	@touch $@

clean:
	rm -rf $(VENV) build dist *.egg-info .coverage .mypy_cache .pytest_cache .ruff_cache .hypothesis
