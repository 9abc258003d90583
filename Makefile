# Every target works on a fresh machine with Python 3.11 or newer and make; nothing else is needed.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
# Set, as in many containers, it would have every process compile all modules anew.
export PYTHONDONTWRITEBYTECODE :=

.PHONY: help setup run example browser typescript wrk spin test test-postgres fuzz-signals examples coverage mutants lint soak soak-shards soak-webhooks soak-readers soak-fence soak-erase model bench bench-full docs lock clean

help: ## List every target with its meaning
	@grep -hE '^[a-z%-]+:.*## ' $(MAKEFILE_LIST) | sed 's/%/NAME/' \
	  | awk -F ':.*## ' '{printf "  make %-14s %s\n", $$1, $$2}'

setup: $(READY) ## Make .venv with the command offerlog in it

$(READY): requirements-dev.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "offerlog needs Python 3.11 or newer: make setup PYTHON=python3.12")'
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "installing what requirements-dev.lock names ..."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-compile --require-hashes -r requirements-dev.lock
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

run: setup ## Record a day of sample traffic in the embedded store, show what became of it, and serve it
	@$(BIN)/offerlog sample
	@trap : INT; \
	  if [ -t 1 ] && [ "$$CI" != true ]; then $(BIN)/offerlog serve --organization sample; \
	  else $(BIN)/offerlog serve --check --organization sample; fi

example: setup ## Run a small shop with a new store, or with the one in DATA; it prints its address
	@trap : INT; $(if $(DATA),OFFERLOG_DATA='$(DATA)') PYTHONPATH=clients/python $(BIN)/python examples/shop/run.py

lint: setup ## Style, types and layers
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

browser: ## Install Debian's Chromium, for the tests of the browser module and the dashboard
	@tools/install chromium chromium "make test, for its tests in a browser,"
	@tools/install chromium-headless-shell chromium-headless-shell "a faster make test" || true

typescript: ## Install the TypeScript compiler by npm, for the test of the client, which is left out without it
	@test -x clients/typescript/node_modules/.bin/tsc || ! command -v npm >/dev/null \
	  || npm install --prefix clients/typescript --silent

wrk: ## Install Debian's wrk, for the benches http-service and workers, left out without it
	@tools/install wrk wrk "the benches http_service and workers" || true

spin: ## Install Debian's spin, for the tests of the models, left out without it or without a C compiler
	@tools/install spin spin "make test, for its tests of the models," || true

test: setup browser typescript spin ## Everything that CI runs: style, types, layers, the tests on a real PostgreSQL
	@$(MAKE) --no-print-directory lint >$(VENV)/lint.log 2>&1 & lint=$$!; \
	  $(BIN)/pytest -n 4 --dist loadfile --no-loadscope-reorder -q; tests=$$?; \
	  test $$tests != 1 || { $(BIN)/python tests/support/failed_again.py; tests=$$?; }; \
	  wait $$lint; lint=$$?; cat $(VENV)/lint.log; \
	  test $$lint = 0 || echo "make lint failed: see above"; test $$tests = 0 && test $$lint = 0

PG_BIN ?= /usr/lib/postgresql/15/bin
test-postgres: setup ## The tests of the store on a plain PostgreSQL: PG_BIN=/usr/lib/postgresql/15/bin
	$(BIN)/python tests/support/own_server.py $(PG_BIN) $(BIN)/pytest -n 2 --dist loadfile -q \
	  tests/contracts tests/infrastructure tests/acceptance/test_model.py \
	  --ignore=tests/infrastructure/embedded --ignore-glob='*/test_failing_disk*'

TEXTS ?= 200000
fuzz-signals: setup ## TEXTS (200,000) nearly right signals, by a SEED, read by both readings, which must agree
	OFFERLOG_FUZZ_SIGNALS=$(TEXTS) $(if $(SEED),OFFERLOG_FUZZ_SEED=$(SEED)) \
	  $(BIN)/pytest -q -s tests/domain/test_fast_reading.py tests/domain/test_block_signals.py -k mutated

examples: setup ## The tests beside a model, the contract and a killed mover with more examples; a short soak
	OFFERLOG_EXAMPLES=100 OFFERLOG_CONTRACT='--phases=examples,coverage,fuzzing,stateful -n 30' $(BIN)/pytest -q \
	  tests/acceptance/test_model.py tests/http/openapi/test_contract.py \
	  tests/infrastructure/sharding/test_moves_interrupted.py tests/soak/test_short_soak.py

COVERED = tests/domain tests/application tests/contracts tests/infrastructure tests/acceptance tests/http
coverage: setup ## The share of the code that the tests run; fails below the figure in pyproject.toml
	@mkdir -p .coverage
	$(BIN)/pytest -n 2 --dist loadfile -q --cov --cov-report=term:skip-covered $(COVERED)

# mutmut wants the sources in src/, so it works on a copy; it starts a new process for every change.
MUTANTS := .mutants
MUTANT_SECONDS ?= 2400
WITHIN = $(abspath $(BIN))/python -c 'import subprocess, sys; sys.exit(subprocess.call(sys.argv[2:], timeout=int(sys.argv[1])))'
SCORE = import json; s = json.load(open("mutants/mutmut-cicd-stats.json")); n = s["total"] - s["skipped"]; \
  k = s["killed"] + s["timeout"]; print(k, "of", n, "changes of the domain noticed:", format(k / n, ".1%"))
mutants: setup ## Changes of the domain, one at a time, that its tests do not notice
	@rm -rf $(MUTANTS) && mkdir $(MUTANTS) && cp -R domain $(MUTANTS)/src && cp -R tests pyproject.toml $(MUTANTS)
	cd $(MUTANTS) && $(WITHIN) $(MUTANT_SECONDS) $(abspath $(BIN))/mutmut run --max-children 1
	@cd $(MUTANTS) && $(abspath $(BIN))/mutmut export-cicd-stats >/dev/null && $(abspath $(BIN))/mutmut results \
	  && $(abspath $(BIN))/python -c '$(SCORE)'

SECONDS ?= 300
ERASURES ?= 10000
SOAK = --seconds $(SECONDS) $(if $(SEED),--seed $(SEED)) $(if $(ONLY),--only '$(ONLY)') \
  $(if $(RESULT),--result '$(abspath $(RESULT))') $(if $(KEEP),--keep)
soak: setup ## Processes, clients and faults for SECONDS (300), by a SEED, ONLY some faults; then a checker
	@cd tests && ../$(BIN)/python -m soak $(SOAK)

soak-shards: setup ## Services over three servers, moving slices, faults of all, for SECONDS (300); then a checker
	@cd tests && ../$(BIN)/python -m soak.shards $(SOAK)

soak-webhooks: setup ## A receiver that fails and services that are killed while they send to it, for SECONDS (300)
	@cd tests && ../$(BIN)/python -m soak.webhooks --seconds $(SECONDS) $(if $(SEED),--seed $(SEED))

soak-readers: setup ## Many writers, some failing, and readers that must miss nothing, for SECONDS (300)
	OFFERLOG_SOAK_SECONDS=$(SECONDS) $(BIN)/pytest -q -s tests/infrastructure/postgres/log/test_horizon.py -k two_readers

soak-fence: setup ## Many writers that dawdle, and fences after which no older event may appear, for SECONDS (300)
	OFFERLOG_SOAK_SECONDS=$(SECONDS) $(BIN)/pytest -q -s tests/infrastructure/postgres/log/test_fence.py -k no_event_appears

soak-erase: setup ## One process erases a visitor ERASURES times (10000) while another records that visitor
	OFFERLOG_SOAK_ERASURES=$(ERASURES) $(BIN)/pytest -q -s tests/infrastructure/postgres/erasure/test_race.py

model: setup ## Every order of events in the models of horizon, fence, move and archive, by spin within bounds
	@tools/install spin spin "make model"
	@tools/install cc build-essential "make model"
	@cd tests && ../$(BIN)/python -m models

bench: setup wrk ## All benches at up to 1 million events, about ten minutes, two tables at the end
	$(BIN)/python benchmarks/everything.py

bench-full: setup wrk ## As bench, up to 10 million events; keeps the results in docs/performance.md
	$(BIN)/python benchmarks/everything.py --full --keep

bench-http-service bench-workers: wrk

bench-%: setup ## One bench, by the name of its file in benchmarks/, with - for _
	$(BIN)/python benchmarks/$(subst -,_,$*).py

docs: setup ## Write the generated pages of docs/ anew from the code
	$(BIN)/python docs/generate.py

# Extras stay in the lock: pip looks at a newer release of `coverage[toml]` if only `coverage` is pinned, and stops at its hash.
COMPILE = $(BIN)/uv pip compile --universal --generate-hashes --no-strip-extras --no-emit-index-url --no-header --quiet --python-version 3.11
lock: setup ## Resolve the three locks anew: to develop; to run, a part of that; to build the wheel, another
	$(BIN)/python -m pip install --quiet uv
	$(COMPILE) --group dev --extra archive --extra otel --extra parquet pyproject.toml -o requirements-dev.lock
	$(COMPILE) --constraint requirements-dev.lock --extra otel pyproject.toml -o requirements.lock
	$(COMPILE) --constraint requirements-dev.lock --group build -o requirements-build.lock

clean: ## Remove what these targets made
	rm -rf clients/typescript/dist clients/typescript/node_modules
	rm -rf $(VENV) dist build .mypy_cache .ruff_cache .pytest_cache .hypothesis .coverage $(MUTANTS)
