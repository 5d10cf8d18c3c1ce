# Everything happens in .venv; nothing here needs root. `make help` lists what there is.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PYTHON_OLD ?= python3.11
VENV_OLD := .venv-tflite-runtime
SECONDS_ARG := $(if $(SECONDS),--seconds $(SECONDS),)

.DEFAULT_GOAL := help
.PHONY: help run test test-tflite-runtime check bench soak deb nspawn kernel arm docs format clean

help:  ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /  make \1\t/'

run: $(VENV)/.demo  ## set up, then show the agent at work: our digits model on our clip (SECONDS=n ends it)
	@$(BIN)/inferd demo $(SECONDS_ARG)

test: $(VENV)/.dev  ## set up, then run all tests
	@$(BIN)/python -m pytest

# All that 32-bit ARM has: the last tflite-runtime, which has no wheels for newer Pythons and breaks under numpy 2.
test-tflite-runtime: $(VENV_OLD)/.ready  ## the tests of models and engines on tflite-runtime 2.14 (needs Python 3.11)
	@$(VENV_OLD)/bin/python -m pytest tests/vet tests/store tests/runtime \
	  tests/end_to_end/models/test_lifecycle.py tests/end_to_end/models/test_commands.py tests/end_to_end/models/test_campaigns.py

check: $(VENV)/.dev  ## format, lint, types, floors, docs, fast tests; a minute and a half
	@$(BIN)/python -m inferd_tools.check

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

format: $(VENV)/.dev  ## format the code
	@$(BIN)/ruff format agent tools tests
	@$(BIN)/ruff check --fix agent tools tests

clean:  ## remove what was set up
	rm -rf $(VENV) $(VENV_OLD) dist build

$(VENV)/.python:
	@command -v $(PYTHON) >/dev/null || { echo "python3 is missing: sudo apt-get install python3 python3-venv"; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "inferd needs Python 3.11 or newer; this is $$($(PYTHON) --version). Name another: make PYTHON=python3.13 run"; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { \
	  echo "Python's venv is missing: sudo apt-get install python3-venv"; exit 1; }
	@echo "setting up $(VENV) (once)"
	@$(PYTHON) -m venv $(VENV) && touch $@

$(VENV)/.demo: $(VENV)/.python pyproject.toml
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[demo]' && touch $@

$(VENV)/.dev: $(VENV)/.python pyproject.toml
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[dev]' && touch $@ $(VENV)/.demo

$(VENV_OLD)/.ready: pyproject.toml
	@command -v $(PYTHON_OLD) >/dev/null || { echo "tflite-runtime 2.14 needs Python 3.11; name it: make PYTHON_OLD=... $(MAKECMDGOALS)"; exit 1; }
	@echo "setting up $(VENV_OLD) (once)"
	@$(PYTHON_OLD) -m venv $(VENV_OLD)
	@$(VENV_OLD)/bin/python -m pip install --quiet --disable-pip-version-check tflite-runtime==2.14.0 'numpy>=1.26,<2' \
	  'opencv-python-headless<4.12' 'paho-mqtt>=2.1' 'psutil>=5.9' 'msgspec>=0.19' 'click>=8.1' 'rich>=13' \
	  'hypothesis>=6' 'pytest>=8' 'pytest-timeout>=2'
	@$(VENV_OLD)/bin/python -m pip install --quiet --disable-pip-version-check --no-deps -e . && touch $@
