# Two commands do it all: `make demo` and `make test`. Everything is installed into .venv, node_modules and web/node_modules here.

# Which Python to use, for example python3.12. Left out: the one of .venv, else the newest supported one that runs here.
PYTHON  ?=
VENV    := .venv
BIN     := $(VENV)/bin
# The Python that has brownie: see .venv/contracts below.
BROWNIE  = $(or $(shell ls $(VENV)/contracts/bin/python 2>/dev/null),$(BIN)/python)
JOBS    ?= 2
# File by file, in the order of tests/conftest.py.
PARALLEL = -n $(JOBS) --dist loadfile --no-loadscope-reorder
# Extra arguments for pip, for example another package index.
PIP_ARGS ?=
DEMO_ARGS ?=
TEST_ARGS ?=
ASSURE_ARGS ?=
# What depends on web3.py and eth-account, and each command once: run with the newest ones as well as with those that
# brownie pins.
WEB3_TESTS := $(addprefix tests/llamafund_chain/,chain http checks campaign/test_client.py campaign/test_attestation.py \
	cli/test_pledge.py cli/test_every_call.py \
	cli/test_faulty_nodes.py::test_a_node_without_batches_or_hashes_is_read_one_by_one)

export PIP_DISABLE_PIP_VERSION_CHECK := 1
export HF_HUB_OFFLINE := 1
# Images of containers often set it. Every process would then compile all that it imports, again and again.
unexport PYTHONDONTWRITEBYTECODE
# What these tools keep would go into the home.
export MPLCONFIGDIR := $(CURDIR)/build/cache/matplotlib
BIOME := XDG_CACHE_HOME='$(CURDIR)/build/cache' node_modules/.bin/biome
# pip asks rustc for its version. Where that is rustup's stand-in, it would write settings into a home that has none.
ifeq ($(RUSTUP_HOME)$(wildcard $(HOME)/.rustup),)
export RUSTUP_HOME := $(CURDIR)/$(VENV)/rustup
endif

.DEFAULT_GOAL := help
.PHONY: help setup environments demo quick test unit page pytest assure lint style format types contracts artifacts verifier bench site dist test-dist test-postgres web clean FORCE

help: ## Show this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-14s %s\n", $$1, $$2}'

setup: $(VENV)/.ready $(VENV)/.brownie node_modules/.ready web/node_modules/.ready $(VENV)/.compiler ## Install everything, pinned, into .venv and node_modules

environments: setup $(VENV)/assurance/.ready $(VENV)/web3-8/.ready $(VENV)/docs/.ready

demo: $(VENV)/.trainer node_modules/.ready ## The whole story, for real: fund, train, attest, pay, audit; then four rug pulls that fail
	@$(BIN)/llamafund demo $(DEMO_ARGS)

quick: $(VENV)/.ready node_modules/.ready ## Style, and the tests that need no chain and no training: two minutes
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/python -m pytest --quick $(PARALLEL) $(TEST_ARGS)

test: ## All checks and all tests (no network needed after setup)
	@$(MAKE) --jobs=$(JOBS) types style environments $(if $(TEST_ARGS),,page)
	@$(MAKE) pytest

unit: pytest $(if $(TEST_ARGS),,page) ## The tests alone; TEST_ARGS="-k words" selects

page: setup
	cd web && node_modules/.bin/vitest run

pytest: environments
	$(BIN)/python -m pytest $(PARALLEL) $(TEST_ARGS)
	$(if $(TEST_ARGS),,$(VENV)/web3-8/bin/python -m pytest $(PARALLEL) $(WEB3_TESTS))
	$(if $(TEST_ARGS),,test $(BROWNIE) = $(BIN)/python || $(BROWNIE) -m pytest $(PARALLEL) tests/contracts tests/scripts)

test-postgres: setup ## The base of facts in a PostgreSQL server of Debian's package, started for the tests
	@ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1 || command -v initdb >/dev/null || \
	  { echo "PostgreSQL is not installed: apt install postgresql" >&2; exit 1; }
	$(BIN)/pip install --quiet --no-compile --constraint constraints.txt $(PIP_ARGS) --editable '.[postgres]'
	$(BIN)/python -m pytest tests/llamafund_chain/facts/test_postgres.py $(TEST_ARGS)

assure: setup $(VENV)/assurance/.ready $(VENV)/standards/.ready $(VENV)/ape/.ready ## Try to break the contracts, one line a property; ASSURE_ARGS="proofs" selects
	$(BIN)/python -m assurance $(ASSURE_ARGS)

lint: style types ## Style, spelling, types and the direction of imports

style: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/python scripts/forge.py fmt --check
	$(BIN)/codespell
	$(BIN)/lint-imports
	cd web && $(BIOME) ci --error-on-warnings . && node_modules/.bin/tsc

format: setup ## Format the Python, Solidity and TypeScript code
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .
	$(BIN)/python scripts/forge.py fmt
	cd web && $(BIOME) check --write .

types: setup ## Type-check the Python code
	$(BIN)/mypy

contracts: setup ## Compile the contracts with brownie and compare with the exported artifacts
	$(BROWNIE) scripts/export_artifacts.py --check

artifacts: setup ## Compile the contracts; export the artifacts into the package, and the wallets' descriptors
	$(BROWNIE) scripts/export_artifacts.py
	$(BIN)/python scripts/export_descriptors.py

web: setup ## Build the page into the package; print its digest and its IPFS address
	$(BIN)/python scripts/export_web.py
	$(BIN)/python scripts/build_web.py

verifier: setup ## Bundle the script with which an audit's page checks itself
	$(BIN)/python scripts/bundle_verifier.py

bench: setup ## Measure; each row against its reference (python -m bench NAME for one)
	$(BIN)/python -m bench gas
	$(BIN)/python -m bench evidence

site: $(VENV)/docs/.ready ## The documents as a site, in build/site/html; search needs a server: python3 -m http.server -d build/site/html
	$(BIN)/python scripts/site_pages.py
	NO_MKDOCS_2_WARNING=1 $(VENV)/docs/bin/mkdocs build --strict

dist: $(VENV)/dist/.ready ## Build the wheel and the source archive into dist/, and check them
	rm -rf dist
	$(BIN)/python scripts/export_sbom.py --check
	$(BIN)/hatchling build --directory dist
	$(VENV)/dist/bin/twine check --strict dist/*
	$(VENV)/dist/bin/check-wheel-contents dist/*.whl
	cd dist && { sha256sum * 2>/dev/null || shasum -a 256 *; }

test-dist: dist node_modules/.ready ## Install the wheel with every Python here, oldest and newest versions; needs the network
	LLAMAFUND_DIST=$(CURDIR)/dist $(BIN)/python -m pytest tests/packaging $(TEST_ARGS)

clean: ## Remove everything that was installed, built or produced here
	rm -rf $(VENV) node_modules web/node_modules build dist demo-out .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis

$(VENV)/pyvenv.cfg: FORCE
	@sh scripts/setup_venv.sh $(VENV) $(PYTHON)

# All that the story needs: the contracts come compiled.
$(VENV)/.trainer: $(VENV)/pyvenv.cfg pyproject.toml constraints.txt
	@$(if $(PIP_ARGS),,sh scripts/install_torch.sh $(BIN)/python)
	$(BIN)/pip install --quiet --no-compile --constraint constraints.txt $(PIP_ARGS) --editable '.[trainer]'
	@touch $@

$(VENV)/.ready: $(VENV)/pyvenv.cfg pyproject.toml constraints.txt
	@$(if $(PIP_ARGS),,sh scripts/install_torch.sh $(BIN)/python)
	$(BIN)/pip install --quiet --no-compile --constraint constraints.txt $(PIP_ARGS) --editable '.[trainer,contracts,dev]'
	@touch $@ $(VENV)/.trainer

# brownie needs a Python before 3.14; pyproject.toml says why. Beside a newer one it gets an environment of its own.
$(VENV)/.brownie: $(VENV)/.ready scripts/patch_brownie.py
	@if $(BIN)/python -c 'import sys; sys.exit(sys.version_info >= (3, 14))'; then \
	  $(BIN)/python scripts/patch_brownie.py; \
	elif sh scripts/setup_venv.sh $(VENV)/contracts python3.13 python3.12 python3.11; then \
	  $(VENV)/contracts/bin/pip install --quiet --no-compile --constraint constraints.txt $(PIP_ARGS) --editable '.[contracts]' filelock && \
	  $(VENV)/contracts/bin/python scripts/patch_brownie.py; \
	else \
	  echo "brownie does not run on Python 3.14 and there is no older one: what needs it is skipped" >&2; \
	fi
	@touch $@

# An environment of its own: these tools and the project want different versions of the same libraries.
$(VENV)/assurance/.ready: $(VENV)/pyvenv.cfg constraints-assurance.txt scripts/patch_halmos.py
	test -x $(VENV)/assurance/bin/python || $(BIN)/python -m venv $(VENV)/assurance
	$(VENV)/assurance/bin/pip install --quiet --no-compile $(PIP_ARGS) --requirement constraints-assurance.txt
	$(VENV)/assurance/bin/python scripts/patch_halmos.py
	@touch $@

$(VENV)/web3-8/.ready: $(VENV)/pyvenv.cfg constraints-web3-8.txt
	test -x $(VENV)/web3-8/bin/python || $(BIN)/python -m venv $(VENV)/web3-8
	$(VENV)/web3-8/bin/pip install --quiet --no-compile --constraint constraints-web3-8.txt $(PIP_ARGS) --editable . \
	  'web3>=8' 'eth-account>=0.14' pytest pytest-xdist hypothesis filelock jsonschema
	@touch $@

# What checks the packages, and uv, which installs them with the oldest versions that they allow.
$(VENV)/dist/.ready: $(VENV)/.ready constraints-dist.txt
	test -x $(VENV)/dist/bin/python || $(BIN)/python -m venv $(VENV)/dist
	$(VENV)/dist/bin/pip install --quiet --no-compile $(PIP_ARGS) --requirement constraints-dist.txt
	@touch $@

# What builds the documents' site; it needs nothing of the project.
$(VENV)/docs/.ready: $(VENV)/pyvenv.cfg constraints-docs.txt
	test -x $(VENV)/docs/bin/python || $(BIN)/python -m venv $(VENV)/docs
	$(VENV)/docs/bin/pip install --quiet --no-compile $(PIP_ARGS) --requirement constraints-docs.txt
	@touch $@

# The validators of the standards that manifests are exported to: large, and in each other's way.
$(VENV)/standards/.ready: $(VENV)/.ready constraints-standards.txt
	test -x $(VENV)/standards/bin/python || $(BIN)/python -m venv $(VENV)/standards
	$(VENV)/standards/bin/pip install --quiet --no-compile $(PIP_ARGS) --requirement constraints-standards.txt
	@touch $@

# For examples/ape: ape pins other versions than the project.
$(VENV)/ape/.ready: $(VENV)/.ready constraints-ape.txt
	test -x $(VENV)/ape/bin/python || $(BIN)/python -m venv $(VENV)/ape
	$(VENV)/ape/bin/pip install --quiet --no-compile $(PIP_ARGS) --requirement constraints-ape.txt
	@touch $@

node_modules/.ready: package.json package-lock.json
	@command -v npm >/dev/null || { echo "This needs Node 20 with npm (npm was not found): install it first" >&2; exit 1; }
	@# Not `npm ci`: it insists on lock entries for other platforms' builds of anvil, which no registry need serve.
	npm install --no-save --ignore-scripts --no-audit --no-fund --loglevel=error
	@touch $@

web/node_modules/.ready: web/package.json web/package-lock.json node_modules/.ready
	cd web && npm install --no-save --ignore-scripts --no-audit --no-fund --loglevel=error
	@touch $@

$(VENV)/.compiler: $(VENV)/.ready node_modules/.ready scripts/setup_compiler.py
	$(BIN)/python scripts/setup_compiler.py
	@touch $@
