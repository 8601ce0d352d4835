# Mostly two commands: `make demo` and `make test`. Each sets itself up; all they need is Python 3.11 or newer.

VENV := .venv
BIN := $(VENV)/bin
ARGS ?=
PYTEST_ARGS ?=
VERSION = $(shell sed -n 's/^version = "\(.*\)"/\1/p' pyproject.toml)

# The first interpreter that is there, works (a shim may lead nowhere), and is new enough.
PYTHON ?= $(shell for python in python3.13 python3.12 python3.11 python3; do \
	$$python -c 'import sys, venv; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$python && break; done)

.PHONY: help demo test kube image soak mutants bench lint pins sbom newest lowest screens clean

help: ## Say what there is to make
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

demo: $(VENV)/demo.stamp ## Run the whole thing here; ARGS="--ci --json" checks its stories and ends
	@$(BIN)/regrant demo $(ARGS)

# Each file is one worker's, so the long files come early. The violent ones come last and one at a time: they look at
# the clock.
test: $(VENV)/test.stamp ## Run all tests, the fast ones first; PYTEST_ARGS goes to pytest
	@$(BIN)/python -m tests.browser.set_up
	@$(BIN)/python -m tests.foreign.set_up
	@$(BIN)/python -m tests.alerts.set_up
	$(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder --durations=15 $(PYTEST_ARGS) \
		tests/unit tests/contract tests/browser tests/fuzz tests/simulation tests/model tests/integration \
		tests/providers tests/foreign tests/hostile tests/alerts
	$(BIN)/python -m pytest --durations=15 $(PYTEST_ARGS) tests/faults

kube: $(VENV)/test.stamp ## Let a real Kubernetes API server and Helm judge the chart; built once, by Go, in some minutes
	@$(BIN)/python -m tests.kubernetes.build
	$(BIN)/python -m pytest --durations=5 $(PYTEST_ARGS) tests/kubernetes

# BASE=python:3.11-slim@sha256:… pins what it stands on.
image: ## Build the image regrant:VERSION, and see that it starts with a read-only root; needs Docker
	docker build $(if $(BASE),--build-arg BASE=$(BASE)) --tag regrant:$(VERSION) .
	docker run --rm --read-only --tmpfs /tmp --cap-drop ALL --network none regrant:$(VERSION) --help >/dev/null

soak: $(VENV)/test.stamp ## Run the faults at length; ARGS="--minutes 30 --only r05 --seed 1"
	@$(BIN)/python -m tests.soak $(ARGS)

mutants: $(VENV)/test.stamp ## Show that the tests notice wrong edits; ARGS names some, all without
	@$(BIN)/python -m tests.mutants $(ARGS)

bench: $(VENV)/bench.stamp ## Measure us and the peers, write docs/benchmarks.md; ARGS=--quick takes five minutes
	@$(BIN)/python -m benchmarks $(ARGS)

lint: $(VENV)/test.stamp ## Check style, types, layers, and that nothing that is made is stale
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/mypy clients/python/from_documents.py clients/python/examples/*.py
	$(BIN)/lint-imports
	$(BIN)/hadolint Dockerfile
	$(BIN)/python -m schemas.documents --check
	$(BIN)/python clients/python/from_documents.py --check
	$(BIN)/python -m statemachine.diagram --check
	$(BIN)/python -m service.help.catalogues --check
	$(BIN)/python -m service.settings --check
	$(BIN)/python -m service.telemetry --check

# Installed again only when the pins change. Hashes are checked; nothing is built but this project itself.
$(VENV)/%.stamp: requirements/%.txt requirements/build.txt pyproject.toml | $(BIN)/python
	@echo "installs requirements/$*.txt (once, and when it changes)"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes \
		-r requirements/build.txt -r $<
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

$(BIN)/python:
	@test -n "$(PYTHON)" || { echo "Python 3.11 or newer is needed, and none was found"; exit 1; }
	@$(PYTHON) -m venv $(VENV)

pins: $(VENV)/test.stamp ## Pin the newest versions that pyproject.toml allows
	@$(BIN)/python requirements/pin.py

sbom: $(VENV)/test.stamp ## Write the bill of materials of what an image runs: build/sbom.cdx.json
	@$(BIN)/python requirements/sbom.py

newest: $(VENV)/test.stamp ## Try the newest versions that pyproject.toml allows; ARGS goes to pytest
	@$(BIN)/python requirements/versions.py newest $(ARGS)

lowest: $(VENV)/test.stamp ## Try the lowest versions that pyproject.toml allows; ARGS goes to pytest
	@$(BIN)/python requirements/versions.py lowest $(ARGS)

screens: ## Put the browser test's screenshots where the README and the help show them
	cp build/screens/2-menu.png docs/screens/list.png
	cp build/screens/3-window-start.png docs/screens/window.png
	cp build/screens/5-provider-password.png docs/screens/provider-sign-in.png
	cp build/screens/6-provider-company.png docs/screens/provider-company.png
	cp build/screens/7-provider-consent.png docs/screens/provider-consent.png
	cp build/screens/8-window-checking.png docs/screens/checking.png
	cp build/screens/9-window-connected.png docs/screens/connected.png
	cp build/screens/11-window-wrong-company.png docs/screens/wrong-company.png
	cp build/screens/console/overview-light.png docs/screens/console.png

clean: ## Remove what was made
	rm -rf $(VENV) build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis
