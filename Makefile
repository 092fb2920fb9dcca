# Two commands do it all: `make demo` and `make test`. Everything is installed into .venv and node_modules here.

# Which Python to use, for example python3.12. Left out: the one of .venv, else the newest supported one that runs here.
PYTHON  ?=
VENV    := .venv
BIN     := $(VENV)/bin
# The Python that has brownie: see .venv/contracts below.
BROWNIE  = $(or $(shell ls $(VENV)/contracts/bin/python 2>/dev/null),$(BIN)/python)
JOBS    ?= 2
# Extra arguments for pip, for example a package index with CPU-only builds of torch.
PIP_ARGS ?=
DEMO_ARGS ?=
TEST_ARGS ?=
ASSURE_ARGS ?=
# What depends on web3.py and eth-account: run with the newest ones as well as with those that brownie pins.
WEB3_TESTS := $(addprefix tests/llamafund_chain/,chain http checks campaign/test_client.py campaign/test_attestation.py \
	cli/test_pledge.py cli/test_faulty_nodes.py)

export PIP_DISABLE_PIP_VERSION_CHECK := 1
export HF_HUB_OFFLINE := 1

.DEFAULT_GOAL := help
.PHONY: help setup demo test unit assure lint format types contracts artifacts bench clean FORCE

help: ## Show this list
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-10s %s\n", $$1, $$2}'

setup: $(VENV)/.ready $(VENV)/.brownie node_modules/.ready $(VENV)/.compiler ## Install everything, pinned, into .venv and node_modules

demo: $(VENV)/.trainer node_modules/.ready ## The whole story, for real: fund, train, attest, pay, audit; then four rug pulls that fail
	@$(BIN)/llamafund demo $(DEMO_ARGS)

test: setup lint unit ## All checks and all tests (no network needed after setup)

unit: setup $(VENV)/assurance/.ready $(VENV)/web3-8/.ready ## The tests alone; TEST_ARGS="-k words" selects
	$(BIN)/python -m pytest -n $(JOBS) --dist loadfile $(TEST_ARGS)
	$(if $(TEST_ARGS),,$(VENV)/web3-8/bin/python -m pytest -n $(JOBS) --dist loadfile $(WEB3_TESTS))
	$(if $(TEST_ARGS),,test $(BROWNIE) = $(BIN)/python || $(BROWNIE) -m pytest -n $(JOBS) --dist loadfile tests/contracts tests/scripts)

assure: setup $(VENV)/assurance/.ready $(VENV)/standards/.ready ## Try to break the contracts, one line a property; ASSURE_ARGS="proofs" selects
	$(BIN)/python -m assurance $(ASSURE_ARGS)

lint: setup ## Style, spelling, types and the direction of imports
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/python scripts/forge.py fmt --check
	$(BIN)/codespell
	$(BIN)/mypy
	$(BIN)/lint-imports

format: setup ## Format the Python and Solidity code
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .
	$(BIN)/python scripts/forge.py fmt

types: setup ## Type-check the Python code
	$(BIN)/mypy

contracts: setup ## Compile the contracts with brownie and compare with the exported artifacts
	$(BROWNIE) scripts/export_artifacts.py --check

artifacts: setup ## Compile the contracts; export the artifacts into the package, and the wallets' descriptors
	$(BROWNIE) scripts/export_artifacts.py
	$(BIN)/python scripts/export_descriptors.py

bench: setup ## Measure; each row against its reference (python -m bench NAME for one)
	$(BIN)/python -m bench gas
	$(BIN)/python -m bench evidence

clean: ## Remove everything that was installed, built or produced here
	rm -rf $(VENV) node_modules build demo-out llamafund.egg-info .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis

$(VENV)/pyvenv.cfg: FORCE
	@sh scripts/setup_venv.sh $(VENV) $(PYTHON)

# All that the story needs: the contracts come compiled.
$(VENV)/.trainer: $(VENV)/pyvenv.cfg pyproject.toml constraints.txt
	$(BIN)/pip install --quiet --no-compile --constraint constraints.txt $(PIP_ARGS) --editable '.[trainer]'
	@touch $@

$(VENV)/.ready: $(VENV)/pyvenv.cfg pyproject.toml constraints.txt
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
$(VENV)/assurance/.ready: $(VENV)/.ready constraints-assurance.txt scripts/patch_halmos.py
	test -x $(VENV)/assurance/bin/python || $(BIN)/python -m venv $(VENV)/assurance
	$(VENV)/assurance/bin/pip install --quiet --no-compile $(PIP_ARGS) --requirement constraints-assurance.txt
	$(VENV)/assurance/bin/python scripts/patch_halmos.py
	@touch $@

$(VENV)/web3-8/.ready: $(VENV)/.ready constraints-web3-8.txt
	test -x $(VENV)/web3-8/bin/python || $(BIN)/python -m venv $(VENV)/web3-8
	$(VENV)/web3-8/bin/pip install --quiet --no-compile --constraint constraints-web3-8.txt $(PIP_ARGS) --editable . \
	  'web3>=8' 'eth-account>=0.14' pytest pytest-xdist hypothesis filelock jsonschema
	@touch $@

# The validators of the standards that manifests are exported to: large, and in each other's way.
$(VENV)/standards/.ready: $(VENV)/.ready constraints-standards.txt
	test -x $(VENV)/standards/bin/python || $(BIN)/python -m venv $(VENV)/standards
	$(VENV)/standards/bin/pip install --quiet --no-compile $(PIP_ARGS) --requirement constraints-standards.txt
	@touch $@

node_modules/.ready: package.json package-lock.json
	@command -v npm >/dev/null || { echo "This needs Node 20 with npm (npm was not found): install it first" >&2; exit 1; }
	@# Not `npm ci`: it insists on lock entries for other platforms' builds of anvil, which no registry need serve.
	npm install --no-save --ignore-scripts --no-audit --no-fund --loglevel=error
	@touch $@

$(VENV)/.compiler: $(VENV)/.ready node_modules/.ready scripts/setup_compiler.py
	$(BIN)/python scripts/setup_compiler.py
	@touch $@
