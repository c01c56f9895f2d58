# Every target is a thin line over something you can also run by hand. `make help` lists them.

BIN := .venv/bin
# Tests wait for processes more than they compute: four fill two cores. Whole deployments, browsers and
# races against time run alone afterwards.
TEST_WORKERS ?= 4
TEST_ARGS ?=
BENCHES ?= ingest geofence alerts valuation auction api storage
SKIPS := .pytest_cache/skips.jsonl

.DEFAULT_GOAL := help
.PHONY: help setup setup-dev run test check fmt soak bench doctor lock clean

# A caller's Python paths would leak other programs' packages into ours.
unexport PYTHONPATH PYTHONHOME

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  %-10s %s\n", $$1, $$2}' $(firstword $(MAKEFILE_LIST))

setup: ## prepare .venv and the browser libraries (again: under a second)
	@./deploy/setup.sh runtime

setup-dev:
	@./deploy/setup.sh dev

run: setup ## the whole product with the demo story on http://127.0.0.1:8080
	@exec $(BIN)/pledgewatch up --demo

test: setup-dev ## format, lint, types, import law and every test but soak and bench; lists what was skipped
	@$(MAKE) --no-print-directory lint
	@rm -f $(SKIPS); status=0; \
	$(BIN)/pytest -q -n $(TEST_WORKERS) --dist loadfile --no-loadscope-reorder -m "not serial and not soak and not bench" --skips-to $(SKIPS) $(TEST_ARGS) || status=1; \
	$(BIN)/pytest -q -m "serial and not soak and not bench" --skips-to $(SKIPS) $(TEST_ARGS) || [ $$? -eq 5 ] || status=1; \
	$(BIN)/python -m tests.house.closing $(SKIPS); \
	exit $$status

lint:
	@echo "== format";     $(BIN)/ruff format --check --quiet . || { echo "make fmt repairs this"; exit 1; }
	@echo "== lint";       $(BIN)/ruff check --quiet .
	@echo "== types";      $(BIN)/mypy --no-error-summary
	@echo "== import law"; $(BIN)/lint-imports --no-logo 2>&1 || exit 1
.PHONY: lint

check: setup-dev lint ## the quick half of test: format, lint, types, import law, house rules
	@$(BIN)/pytest -q tests/house

fmt: setup-dev ## format, and repair what ruff can repair
	@$(BIN)/ruff check --fix --quiet . || true
	@$(BIN)/ruff format .

soak: setup-dev ## the long runs: faults and load for an hour and more
	@$(BIN)/pytest -m soak --timeout 0 $(TEST_ARGS)

bench: setup-dev ## full trial counts of every bench, with the machine they ran on
	@for name in $(BENCHES); do $(BIN)/pledgewatch bench $$name --long || exit 1; done

doctor: setup ## what was found on this machine, what is missing, how to fix it
	@$(BIN)/pledgewatch doctor

# No index addresses get into the lock files; --universal keeps one lock for every Python from 3.11 on.
COMPILE := $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
	--no-emit-find-links --no-annotate --custom-compile-command "make lock"

lock: setup-dev ## write requirements*.lock anew from requirements*.in
	@$(COMPILE) requirements.in -o requirements.lock $(LOCK_ARGS)
	@$(COMPILE) -c requirements.lock requirements-dev.in -o requirements-dev.lock $(LOCK_ARGS)

clean: ## remove what can be made again; .data (database, broker state) stays
	@rm -rf .venv node_modules .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache artefacts
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
