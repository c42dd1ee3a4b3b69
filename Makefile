# Every command of the house. Python 3.11 or later and make are all they need.

BIN := .venv/bin
INSTALLED := .venv/.installed
CLIENT_TOOLS := $(CURDIR)/.tools

# Compiled once, not again in each process that a test starts.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help install demo run test fuzz test-mongo clients coverage check docs pictures bench faults image-test clean

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-10s %s\n", $$1, $$2 }' Makefile

install: $(INSTALLED) ## Make .venv with the pinned packages and Jobserver itself

$(INSTALLED): requirements.txt pyproject.toml setup.py
	@.ci/venv
	@echo "Installing $$(grep -c == requirements.txt) pinned packages, about half a minute."
	@$(BIN)/python -m pip install -qq --no-deps --no-compile -r requirements.txt
	@$(BIN)/python -m pip install -qq --no-deps --no-build-isolation --editable .
	@$(BIN)/python -m pip check
	@$(BIN)/python -m compileall -q -j 0 -x '/tests?/' .venv/lib jobserver
	@touch $@

demo: $(INSTALLED) ## Show a job from request to result, in a throw-away home
	@$(BIN)/jobserver demo $(ARGS)

run: $(INSTALLED) ## Start the server; options in ARGS: make run ARGS="--port 8000"
	@$(BIN)/jobserver run $(ARGS)

test: $(INSTALLED) ## Run all tests; narrow them with ARGS: make test ARGS=tests/api
	@.ci/packages chromium-headless-shell libfaketime bubblewrap libcurl4 libssl3 openssl nginx-light caddy systemd
	@$(BIN)/python -m pytest $(ARGS)

fuzz: $(INSTALLED) ## Run the tests by generated examples with 20 times more; FUZZ=N for others
	@FUZZ=$${FUZZ:-20} $(MAKE) --no-print-directory test ARGS="-m hypothesis --timeout 0 $(ARGS)"

test-mongo: ## Run all tests on a MongoDB of yours: make test-mongo URI=mongodb://localhost
	@test -n "$(URI)" || { echo "Name a MongoDB: make test-mongo URI=mongodb://localhost"; exit 2; }
	@JOBSERVER_TEST_MONGO_URI="$(URI)" $(MAKE) --no-print-directory test

clients: $(INSTALLED) $(CLIENT_TOOLS)/.installed ## Lint the OpenAPI document, run clients of other languages; needs npm and R
	@.ci/packages r-base-core r-cran-httr2
	@CLIENT_TOOLS=$(CLIENT_TOOLS) $(BIN)/python -m pytest -n0 tests/clients $(ARGS)

$(CLIENT_TOOLS)/.installed: tests/clients/package.json tests/clients/requirements.txt | $(INSTALLED)
	@mkdir -p $(CLIENT_TOOLS) && cp tests/clients/package.json $(CLIENT_TOOLS)
	@npm install --prefix $(CLIENT_TOOLS) --ignore-scripts --no-audit --no-fund --loglevel error
	@$(BIN)/python -m venv $(CLIENT_TOOLS)/python
	@$(CLIENT_TOOLS)/python/bin/pip install -qq -r tests/clients/requirements.txt
	@touch $@

coverage: $(INSTALLED) ## Run tests and report the lines that none runs; narrow them with ARGS
	@rm -rf .coverage && mkdir .coverage
	@$(BIN)/coverage run -m pytest $(ARGS)
	@$(BIN)/coverage combine --quiet
	@$(BIN)/coverage report

check: $(INSTALLED) ## Lint, check the format, the types, the import rules and the docs
	@$(BIN)/ruff check
	@$(BIN)/ruff format --check
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-logo
	@$(MAKE) --no-print-directory docs

docs: $(INSTALLED) ## Build the documentation into docs/_build/html
	@$(BIN)/python docs/picture.py
	@$(BIN)/python docs/figures.py
	@$(BIN)/sphinx-build --quiet --fail-on-warning --keep-going docs docs/_build/html
	@echo "Documentation built: docs/_build/html/index.html"

pictures: $(INSTALLED) ## Take the pictures of pages in README and tutorial; needs Chromium
	@$(BIN)/python -m docs.pictures

bench: $(INSTALLED) ## Measure; the figures of benchmarks/README.md
	@$(BIN)/python -m benchmarks $(ARGS)

faults: $(INSTALLED) ## Kill servers, children, databases and hosts; ARGS="--seeds 1 --kills 50"
	@.ci/packages iproute2 libfaketime
	@$(BIN)/python -m tests.faults.campaign $(ARGS)

image-test: $(INSTALLED) ## Carry out the Dockerfile in a folder, try image and unit; needs root
	@.ci/packages mmdebstrap bubblewrap iproute2 libcurl4 libssl3
	@$(BIN)/python -m tests.deploy.image $(ARGS)

clean: ## Remove what make made; config.py, data/ and db/ stay
	rm -rf .venv .tools build dist docs/_build *.egg-info .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis .coverage
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
