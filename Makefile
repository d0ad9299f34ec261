SHELL := /bin/bash
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
DEVELOPER := $(VENV)/.ready-developer
# More than two cores need: many tests wait for brokers and processes.
TEST_PROCESSES ?= 3
KAFKA_PORT ?= 9092
KAFKA_CONTROLLER_PORT ?= 9093
PROMETHEUS_PORT ?= 9090
KEPLER_PORT ?= 8888

.DEFAULT_GOAL := help
.PHONY: help setup run demo test check format bench fuzz soak kafka kafka-stop prometheus compose-check clean

help: ## Show what can be made
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-13s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(DEVELOPER) ## Make the virtual environment in .venv and install everything into it

$(READY): pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[all]'
	@touch $@

$(DEVELOPER): $(READY)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --upgrade 'pip>=25.1'
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --group dev
	@touch $@

run: $(READY) ## Start everything on this machine: sources, log, learner, model server, estimator
	@exec $(BIN)/wattstream up

demo: $(READY) ## The same on five simulated nodes, read every second, in a folder of its own
	@exec $(BIN)/wattstream up --source sim:5 --interval 1 --data .cache/demo

test: $(DEVELOPER) ## Run all tests with branch coverage
	$(BIN)/python -m pytest -n $(TEST_PROCESSES) --dist loadfile --no-loadscope-reorder --cov --cov-report=term

check: $(DEVELOPER) ## Check format, lint, types, layers and dependencies
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/deptry .

format: $(DEVELOPER) ## Format the code and mend what the linter can mend
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench: $(DEVELOPER) ## Measure this machine: ratios against a peer or a limit in the same run
	$(BIN)/python -m tests.bench

fuzz: $(DEVELOPER) ## Send estimator, server and trainer ten thousand requests made up to break them
	FUZZ_EXAMPLES=10000 $(BIN)/python -m pytest tests/estimator/kepler_socket/test_fuzz.py tests/server/test_fuzz.py tests/server/training/test_fuzz.py -q

soak: $(DEVELOPER) ## Run the tests that take minutes: outages of a minute, and the like
	$(BIN)/python -m pytest -m soak

kafka: $(DEVELOPER) ## Start an Apache Kafka broker on this machine, fetched by mvn once (KAFKA_PORT=9092)
	@$(BIN)/python -m tests.kafka start --port $(KAFKA_PORT) --controller-port $(KAFKA_CONTROLLER_PORT)

kafka-stop: $(DEVELOPER) ## Stop that broker and delete all it kept
	@$(BIN)/python -m tests.kafka stop

prometheus: $(DEVELOPER) ## Start a simulated Kepler and Prometheus here, with half an hour of past (PROMETHEUS_PORT=9090)
	@$(BIN)/python -m tests.prometheus --port $(PROMETHEUS_PORT) --kepler-port $(KEPLER_PORT)

compose-check: $(DEVELOPER) ## Check compose/ and run its services here, without containers
	$(BIN)/python -m pytest tests/compose -q

clean: ## Remove what was made here, learned models included
	rm -rf $(VENV) .cache wattstream-data .mypy_cache .ruff_cache .pytest_cache .hypothesis .coverage
