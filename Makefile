# Everything happens in .venv; nothing here needs root. `make help` lists what there is.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PYTHON_OLD ?= python3.11
VENV_OLD := .venv-tflite-runtime
VENV_LOWEST := .venv-lowest
VENV_NEWEST := .venv-newest
LOCKS := deploy/locks
PIP := -m pip install --quiet --disable-pip-version-check
PARALLEL := -n logical --maxprocesses=4 --dist worksteal
FAST := $(PARALLEL) -m 'not slow and not soak'
SECONDS_ARG := $(if $(SECONDS),--seconds $(SECONDS),)

.DEFAULT_GOAL := help
.PHONY: help run test test-tflite-runtime test-lowest test-newest check mutants bench soak deb nspawn kernel arm docs lock format clean

# $(call install,VENV,LOCK): what the lock says and nothing else, then inferd itself, by the locked hatchling.
define install
@$(1)/bin/python $(PIP) --no-compile --require-hashes -r $(LOCKS)/build.txt -r $(LOCKS)/$(2).txt
@$(1)/bin/python $(PIP) --no-deps --no-build-isolation -e .
@touch $(1)/.$(2) $(foreach held,$(HELD_BY_$(2)),$(1)/.$(held))
endef
HELD_BY_test := demo
HELD_BY_dev := demo test

help:  ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /  make \1\t/'

run: $(VENV)/.demo  ## set up, then show the agent at work: our digits model on our clip (SECONDS=n ends it)
	@$(BIN)/inferd demo $(SECONDS_ARG)

test: $(VENV)/.test  ## set up, then run all tests
	@$(BIN)/python -m pytest $(PARALLEL)

# All that 32-bit ARM has: the last tflite-runtime, which has no wheels for newer Pythons and breaks under numpy 2.
test-tflite-runtime: $(VENV_OLD)/.tflite-runtime  ## the tests of models and engines on tflite-runtime 2.14 (needs Python 3.11)
	@$(VENV_OLD)/bin/python -m pytest tests/vet tests/store tests/runtime \
	  tests/end_to_end/models/test_lifecycle.py tests/end_to_end/models/test_commands.py tests/end_to_end/models/test_campaigns.py

test-lowest: $(VENV_LOWEST)/.ready  ## fast tests on the lowest versions that pyproject.toml allows
	@$(VENV_LOWEST)/bin/python -m pytest $(FAST)

test-newest: $(VENV_NEWEST)/.python  ## fast tests on the newest versions that pyproject.toml allows
	@$(VENV_NEWEST)/bin/python $(PIP) --upgrade --upgrade-strategy eager -e '.[test]'
	@$(VENV_NEWEST)/bin/python -m pytest $(FAST)

check: $(VENV)/.dev  ## format, lint, types, floors, locks, docs, fast tests; a minute
	@$(BIN)/python -m inferd_tools.check

mutants: $(VENV)/.dev  ## change the code one fault at a time; which does no test see? (ONLY=area or name, EACH=25, JSON=file)
	@$(BIN)/python -m inferd_tools.mutants $(if $(ONLY),--only $(ONLY)) $(if $(EACH),--each $(EACH)) $(if $(JSON),--json $(JSON))

bench: $(VENV)/.dev  ## measure: loop against bare invoke, each stage and part, recovery, memory
	@$(BIN)/python -m inferd_tools.bench

soak: $(VENV)/.dev  ## long campaigns: kills, broker faults; minutes to hours
	@$(BIN)/python -m pytest -m soak --override-ini addopts=-ra

deb: $(VENV)/.demo  ## build the Debian package into dist/ (RELEASE=bookworm|trixie ARCH=amd64|arm64)
	@$(BIN)/python -m inferd_tools.deb $(if $(RELEASE),--release $(RELEASE)) $(if $(ARCH),--arch $(ARCH))

nspawn: $(VENV)/.dev  ## prove the package in a booted Debian; needs root, minutes (INFERD_RELEASES="bookworm trixie")
	@$(BIN)/python -m pytest -s -m soak --override-ini addopts=-ra tests/systemd --ignore=tests/systemd/test_kernel.py

kernel: $(VENV)/.dev  ## prove cameras, meters, sound, limits, clock and watchdog under a real kernel; needs root, QEMU, 20 minutes
	@$(BIN)/python -m pytest -s -m soak --override-ini addopts=-ra tests/systemd/test_kernel.py

arm: $(VENV)/.dev  ## prove core, agent and package on emulated ARM; needs root, minutes (ARCH=arm64|armhf for one)
	@$(BIN)/python -m inferd_tools.arm $(if $(ARCH),--arch $(ARCH))

docs: $(VENV)/.dev  ## write the generated parts of docs/
	@$(BIN)/python -m inferd_tools.docs --write

lock: $(VENV)/.lock  ## write deploy/locks/ from pyproject.toml; versions stay where they can (UPGRADE=1: the newest)
	@$(BIN)/python -m inferd_tools.locks $(if $(UPGRADE),--upgrade)

format: $(VENV)/.dev  ## format the code
	@$(BIN)/ruff format agent tools tests
	@$(BIN)/ruff check --fix agent tools tests

clean:  ## remove what was set up
	rm -rf $(VENV) $(VENV_OLD) $(VENV_LOWEST) $(VENV_NEWEST) dist build

$(VENV)/.python $(VENV_LOWEST)/.python $(VENV_NEWEST)/.python:
	@command -v $(PYTHON) >/dev/null || { echo "python3 is missing: sudo apt-get install python3 python3-venv"; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 15))' || { \
	  echo "inferd needs Python 3.11 to 3.14; this is $$($(PYTHON) --version). Name another: make PYTHON=python3.13 run"; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.maxsize < 2**32)' || { \
	  echo "a 32-bit Python has no wheels for most of what inferd needs: see docs/boards.md"; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { \
	  echo "Python's venv is missing: sudo apt-get install python3-venv"; exit 1; }
	@echo "setting up $(@D) (once)"
	@$(PYTHON) -m venv $(@D)
	@$(@D)/bin/python -m pip uninstall --quiet --yes setuptools 2>/dev/null  # 15 MB that Debian 12 adds and nothing here uses
	@touch $@

$(VENV)/.demo $(VENV)/.test $(VENV)/.dev $(VENV)/.lock: $(VENV)/.%: $(VENV)/.python pyproject.toml $(LOCKS)/%.txt $(LOCKS)/build.txt
	$(call install,$(VENV),$*)

$(VENV_LOWEST)/.ready: $(VENV_LOWEST)/.python $(VENV)/.lock pyproject.toml
	@$(BIN)/python -m inferd_tools.locks --lowest $(VENV_LOWEST)/lowest.txt
	@$(VENV_LOWEST)/bin/python $(PIP) -r $(VENV_LOWEST)/lowest.txt
	@$(VENV_LOWEST)/bin/python $(PIP) --no-deps --no-build-isolation -e . && touch $@

$(VENV_OLD)/.tflite-runtime: pyproject.toml $(LOCKS)/tflite-runtime.txt $(LOCKS)/build.txt
	@command -v $(PYTHON_OLD) >/dev/null || { echo "tflite-runtime 2.14 needs Python 3.11; name it: make PYTHON_OLD=... $(MAKECMDGOALS)"; exit 1; }
	@echo "setting up $(VENV_OLD) (once)"
	@$(PYTHON_OLD) -m venv $(VENV_OLD)
	$(call install,$(VENV_OLD),tflite-runtime)
