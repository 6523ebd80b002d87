# One verb a chore. A new machine needs Python 3.11, make and git; every verb makes `env` first.

PYTHON ?= python3
BIN := .venv/bin
ENV := .venv/.installed
PROOF := .venv/.proof

# Playwright's own browsers are downloads past every lock.
BROWSER := chromium fonts-dejavu-core fonts-liberation fonts-noto-color-emoji pngquant

# Request Tracker's programs; SQLite is enough.
TRACKER := request-tracker5 rt5-db-sqlite rt5-standalone rt5-clients dbconfig-no-thanks msmtp-mta

# What Kubernetes itself has a schema for, and is no patch.
RESOURCES = $(filter-out %/kustomization.yaml, $(wildcard deploy/kubernetes/base/*.yaml deploy/kubernetes/base/*/*.yaml)) \
  deploy/kubernetes/components/external-metric/scaler.yaml

.DEFAULT_GOAL := help
.PHONY: help env demo up test fuzz test-deploys test-rt test-helpdesk test-browser test-alerts test-image pictures bench chaos mutants check format lock clean

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-13s %s\n", $$1, $$2 }' Makefile

env: $(ENV) ## the environment, in .venv; again only if the lock has changed

# -qq hides all but errors.
$(ENV): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
	  echo "env: needs Python 3.11 or newer; $(PYTHON) is not. Try: make env PYTHON=python3.11" >&2; exit 1; }
	@test -x $(BIN)/python || { echo "env: making .venv"; $(PYTHON) -m venv .venv; }
	@echo "env: installing what requirements.lock pins (a minute, the first time)"
	@$(BIN)/python -m pip install -qq --disable-pip-version-check --require-hashes --no-deps -r requirements.lock
	@echo "env: installing this project, editable"
	@$(BIN)/python -m pip install -qq --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

# Much that only benchmarks and mutation tests need.
$(PROOF): $(ENV) requirements-proof.lock
	@echo "proof: installing what requirements-proof.lock pins (half a minute, the first time)"
	@$(BIN)/python -m pip install -qq --disable-pip-version-check --require-hashes --no-deps -r requirements-proof.lock
	@touch $@

# Temporal's own programs are in the environment too.
demo up test test-deploys test-rt test-helpdesk test-browser pictures bench: export PATH := $(CURDIR)/$(BIN):$(PATH)

demo: $(ENV) ## a transfer from start to end, on real counterparts; KEEP=1 leaves them running
	@$(BIN)/python starter.py demo $(if $(KEEP),--keep)

up: $(ENV) ## the demo's counterparts, left running, for trying things by hand
	@$(BIN)/python starter.py demo --stack-only --keep

# Counting lines doubles the time on Python 3.11, so it is asked for; CI does.
test: $(ENV) ## all tests; COVER=1 counts lines too, and holds the floor
	@$(BIN)/pytest -n 3 --dist worksteal --durations=10 $(if $(COVER),--cov)

test-deploys: $(ENV) ## the tests of versions and rolling restarts; two minutes, mostly waiting
	@$(BIN)/pytest -n 2 --dist worksteal -m deploys --durations=5 tests/workflows tests/e2e

fuzz: $(ENV) ## random histories against the model for MINUTES=10, from SEED= on or a random one
	@$(BIN)/python -m tools.fuzz $(if $(MINUTES),--minutes $(MINUTES)) $(if $(SEED),--seed $(SEED))

# Two minutes. RT's programs come from Debian's packages, once; its data is each session's own.
test-rt: $(ENV) ## the tests on a real Request Tracker 5, installed if need be (Debian, root)
	@tools/debian.sh rt $(TRACKER)
	@$(BIN)/pytest tests/rt --durations=5

test-helpdesk: $(ENV) ## the tests on a real django-helpdesk, in an environment of its own
	@$(BIN)/pytest tests/helpdesk/for_real.py

# Chromium comes from Debian's packages, once; its profiles are each test's own.
test-browser: $(ENV) ## the tests in a real browser, installed if need be (Debian, root)
	@tools/debian.sh browser $(BROWSER)
	@$(BIN)/pytest tests/browser --durations=5

# promtool comes from Debian's package; its server is not started.
test-alerts: $(ENV) ## the tests of alerts and dashboard by Prometheus' own tool, installed if need be (Debian, root)
	@tools/debian.sh alerts prometheus
	@$(BIN)/python tools/alerts.py

# Two minutes. The engine, its images and what runs in them are this verb's own, and end with it.
test-image: $(ENV) ## Kubernetes' overlays built, and a whole transfer with the image in its own engine (Debian, root)
	@$(BIN)/python -m tools.overlays
	@tools/image.sh

pictures: $(ENV) ## makes docs/pictures and docs/mails.md anew, with that browser
	@tools/debian.sh browser $(BROWSER)
	@$(BIN)/python -m tests.browser.pictures

# A quarter of an hour on two idle cores. ARGS="--quick", ARGS="--only transfers,latency".
bench: $(PROOF) ## the service against bare versions of itself on three engines; ARGS="--quick" is short
	@$(BIN)/python -m bench $(ARGS)

# Four minutes; SHORT=1 is one. What a run does is up to its seed, which it prints.
chaos: $(ENV) ## transfers while all is killed, stopped, cut off; SHORT=1; RT=1: with Request Tracker; SEED=… repeats
	@$(if $(RT),tools/debian.sh rt $(TRACKER))
	@$(BIN)/python -m tests.chaos $(if $(SHORT),--short) $(if $(RT),--rt) $(if $(SEED),--seed $(SEED))

# Three minutes, in a temporary folder. Not for CI: docs/mutants.md says when it was last run.
mutants: $(PROOF) ## breaks the rules piece by piece; fails if the tests mind less than 90 % of it
	@nice -n 15 $(BIN)/python tools/mutants.py $(FILES)

check: $(PROOF) ## all that can be said without running the service
	@echo "check: lint (ruff)"
	@$(BIN)/ruff check --quiet .
	@echo "check: format (ruff)"
	@$(BIN)/ruff format --quiet --check . || { echo "run make format" >&2; exit 1; }
	@echo "check: types (mypy)"
	@$(BIN)/mypy --no-error-summary
	@echo "check: types (basedpyright)"
	@$(BIN)/basedpyright --level error > .venv/pyright.log || { cat .venv/pyright.log; exit 1; }
	@echo "check: who may import whom (import-linter)"
	@$(BIN)/lint-imports > .venv/imports.log || { cat .venv/imports.log; exit 1; }
	@echo "check: the locks still fit pyproject.toml (uv)"
	@$(BIN)/python tools/lock.py --check
	@echo "check: the wheel works on its own (hatchling)"
	@$(BIN)/python tools/wheel.py
	@echo "check: docker-compose.yml (schema, then compose itself)"
	@$(BIN)/check-jsonschema --quiet --builtin-schema vendor.compose-spec docker-compose.yml
	@POSTGRES_PASSWORD=checked $(BIN)/docker-compose -f docker-compose.yml config --quiet
	@POSTGRES_PASSWORD=checked $(BIN)/docker-compose -f docker-compose.yml --profile production config --quiet
	@echo "check: deploy/kubernetes (each resource's schema)"
	@$(BIN)/kubernetes-validate --strict --quiet $(RESOURCES)
	@$(BIN)/check-jsonschema --quiet --schemafile deploy/kubernetes/components/keda/scaledobject.schema.json \
	  deploy/kubernetes/components/keda/scaler.yaml
	@echo "check: scripts (shellcheck)"
	@$(BIN)/shellcheck .ci/run deploy/*.sh tools/*.sh tools/*.sh
	@echo "check: Dockerfile (hadolint)"
	@$(BIN)/hadolint --no-color Dockerfile
	@echo "check: dangerous code (bandit)"
	@$(BIN)/bandit --quiet -c pyproject.toml -r transfer gateway workflows activities worker.py starter.py
	@echo "check: secrets in files (detect-secrets)"
	@$(BIN)/python tools/leaks.py
	@echo "check: known vulnerabilities of what is locked (pip-audit)"
	@$(BIN)/python tools/audit.py
	@echo "check: all good"

format: $(ENV) ## rewrites the code as `check` wants it
	@$(BIN)/ruff check --quiet --fix-only .
	@$(BIN)/ruff format .

lock: $(ENV) ## makes the lock files anew; UPGRADE=1 takes the newest versions that fit
	@$(BIN)/python tools/lock.py $(if $(UPGRADE),--upgrade)

clean: ## removes all that the other verbs make
	@rm -rf .venv var build dist .coverage .coverage.* .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
