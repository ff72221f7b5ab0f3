# Everything that is needed is installed into .venv by the target that needs it.
#   make run     Sidegate in front of the example DataStore, with requests to try
#   make test    everything that must hold, in some minutes
#   make check   formatting, lint, types, import contracts
#   make bench   CPU per request beside nginx and Envoy
#   make help    the rest
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# More workers than cores only makes the timing of others worse.
JOBS ?= 2
PYTEST_ARGS ?=
BENCH_ARGS ?=

.PHONY: help run test test-slow test-compiled wire transparency fuzz check format lock bench bench-engines bench-scenarios bench-pauses micro oracle image-check chart docs alerts pictures site lock clean

help: ## this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F':.*## ' '{printf "  make %-12s %s\n", $$1, $$2}'

$(VENV)/.python: scripts/need-python.sh
	@bash scripts/need-python.sh $(PYTHON) $(VENV)
	@touch $@

$(VENV)/.run: $(VENV)/.python requirements/run.txt pyproject.toml
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/run.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

$(VENV)/.dev: $(VENV)/.run requirements/dev.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/dev.txt
	@touch $@

run: $(VENV)/.run ## Sidegate in front of the example DataStore on 127.0.0.1:8080; LISTEN=host:port; REDIS=1 for shared state
	@if [ -n "$${REDIS:-}" ]; then bash scripts/need-debian.sh test; fi
	@$(BIN)/python scripts/demo.py

test: $(VENV)/.dev ## all tests
	@bash scripts/need-debian.sh test
	$(BIN)/python -m pytest -n $(JOBS) --dist worksteal $(PYTEST_ARGS)

test-slow: $(VENV)/.dev ## what takes minutes or measures: floods, thousands of streams
	@bash scripts/need-debian.sh slow
	$(BIN)/python -m pytest -m slow $(PYTEST_ARGS)
	RECOVERY_S=2 $(BIN)/python -m pytest -m "slow or not slow" $(addprefix tests/integration/redis/test_,policy_faults.py sidecar.py link.py policy_cache.py)

COMPILED := build/compiled
test-compiled: $(VENV)/.dev ## all tests on the modules of the data path compiled to C, as SIDEGATE_COMPILE=1 installs them
	$(BIN)/python scripts/compile_hook.py $(COMPILED)
	PYTHONPATH=$(COMPILED) $(BIN)/python -m pytest -n $(JOBS) --dist worksteal $(PYTEST_ARGS)

bench: $(VENV)/.dev ## CPU per request of workload M beside other proxies, latency, memory; BENCH_ARGS for rounds, peers, JSON, chart
	@sh scripts/install-bench.sh $(BIN)/python
	$(BIN)/python scripts/compile_hook.py $(COMPILED)
	$(BIN)/python -m loadtests.bench $(BENCH_ARGS)

bench-engines: $(VENV)/.dev ## decisions beside other engines, 1,000 to 1,000,000 bindings; BENCH_ARGS
	@sh scripts/install-bench.sh $(BIN)/python
	$(BIN)/python -m loadtests.engines $(BENCH_ARGS)

bench-scenarios: $(VENV)/.dev ## what else spec 7 asks for: shadow, audit, bodies, idle connections, start, workers; BENCH_ARGS
	@sh scripts/install-bench.sh $(BIN)/python
	$(BIN)/python -m loadtests.scenarios $(BENCH_ARGS)

bench-pauses: $(VENV)/.dev ## what may stop the event loop, provoked one by one: garbage, policy, records, Redis, connections; BENCH_ARGS
	@sh scripts/install-bench.sh $(BIN)/python
	$(BIN)/python -m loadtests.pauses $(BENCH_ARGS)

micro: $(VENV)/.dev ## nanoseconds per decision, 1,000 to 1,000,000 bindings
	$(BIN)/python -m loadtests.micro.decide

PAIRS ?= 5000000
oracle: $(VENV)/.dev ## engine against the slow reading over PAIRS generated questions
	$(BIN)/python -m tests.oracle.run --pairs $(PAIRS)

wire: $(VENV)/.dev ## attacks on the wire at length: generated requests, every cut, every real server that is installed
	$(BIN)/python -m tests.wire.generate --requests 100000
	$(BIN)/python -m tests.wire.everywhere
	$(BIN)/python -m tests.wire.real.run

transparency: $(VENV)/.dev ## real clients with Sidegate and without: curl, git, boto3, litmus, Chromium and more
	@bash scripts/need-debian.sh transparency
	$(BIN)/python -m venv build/boto3
	build/boto3/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/boto3.txt
	$(BIN)/python -m pytest -q tests/transparency
	$(BIN)/python -m tests.transparency.run

MINUTES ?= 10
fuzz: $(VENV)/.dev ## every reader of hostile bytes, MINUTES each
	$(BIN)/python -m tests.fuzz.run --minutes $(MINUTES)

check: $(VENV)/.dev ## formatting, lint, types, import contracts, repeated by the tests
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy src examples loadtests
	$(BIN)/lint-imports

format: $(VENV)/.dev ## format and sort imports
	$(BIN)/ruff check --fix --select I .
	$(BIN)/ruff format .

image-check: $(VENV)/.run ## the image's steps, without an engine
	$(BIN)/python scripts/image_check.py

chart: $(VENV)/.dev ## schema, tables and defaults of the chart from the settings
	$(BIN)/python -m scripts.helm_chart

docs: $(VENV)/.dev ## write the reference pages from the code, and check all links
	$(BIN)/python -m scripts.dashboards
	$(BIN)/python -m scripts.runbooks
	$(BIN)/python scripts/docs.py

alerts: $(VENV)/.dev ## cause faults before a real Prometheus, and see which alerts fire
	@bash scripts/need-debian.sh test
	$(BIN)/python -m pytest -m slow tests/observability

HISTORY := build/history
pictures: $(VENV)/.dev ## draw the dashboards from nine minutes of load with faults
	@bash scripts/need-debian.sh test
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/pictures.txt
	$(BIN)/python -m scripts.dashboards.history $(HISTORY)
	$(BIN)/python -m scripts.dashboards.draw $(HISTORY) docs/dashboards

site: $(VENV)/.dev ## the documentation as pages, in build/site
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet --config-file scripts/site/mkdocs.yml

lock: $(VENV)/.dev ## pin what is newest now, with hashes
	bash scripts/lock.sh

clean: ## remove what was built and installed; nothing under var/
	rm -rf $(VENV) build dist site .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
