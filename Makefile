# Everything a newcomer or CI runs. Needs make and a Python >= 3.11, nothing else.
#
#   make demo                 bring Muniment up, ingest the sample folder, search it, keep serving
#   make demo ARGS=--once     the same, but exit after printing the results
#   make test                 all tests (ARGS="tests/jobs -k retry" selects)

VENV    ?= .venv
ARGS    ?=
WORKERS ?= 2

BIN         := $(VENV)/bin
PIP_INSTALL := $(BIN)/python -m pip install -qq --disable-pip-version-check -c constraints.txt
# Without its dependencies: the extra `ocr-headless` names them (see pyproject.toml).
RAPIDOCR    := "rapidocr-onnxruntime; python_version < '3.13'"
BENCHMARKS  := $(filter-out %_peer,$(basename $(notdir $(wildcard benchmarks/*.py))))
MIGRATIONS  := $(wildcard src/muniment/db/migrations/sql/*.sql)

.DEFAULT_GOAL := help
.PHONY: help demo test lint format gates docs catalogue lock bench install install-dev clean
.SUFFIXES:

help:
	@echo "make demo [ARGS=--once]   bring up, ingest the sample folder, search it"
	@echo "make test [ARGS=...]      run the tests"
	@echo "make lint                 ruff, mypy, import-linter, codespell, squawk"
	@echo "make gates                size, statements, documents"
	@echo "make docs                 write the parts of docs/ that are read off the program"
	@echo "make catalogue            write what the migrations leave behind, for the doctor"
	@echo "make format               let ruff rewrite the code"
	@echo "make bench NAME=...       run one benchmark"
	@echo "make lock                 pin the versions of all packages anew"
	@echo "make clean                remove everything that make created"

demo: install
	@$(BIN)/muniment demo $(ARGS)

test: install-dev
	@$(BIN)/python -m pytest -n $(WORKERS) --dist worksteal $(ARGS)

lint: install-dev
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-logo
	@$(BIN)/codespell
	@$(if $(MIGRATIONS),$(BIN)/squawk $(MIGRATIONS),echo "No migrations to lint.")

format: install-dev
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

gates: install-dev
	@$(BIN)/python -m tools.gates.names
	@$(BIN)/python -m tools.gates.sizes
	@$(BIN)/python -m tools.gates.statements
	@$(BIN)/python -m pytest -q -n 0 tests/gates

docs: install-dev
	@$(BIN)/python -m tools.reference.pages
	@$(BIN)/python -m tools.dashboards.write

catalogue: install-dev
	@$(BIN)/python -m tools.catalogue

bench: install
	@test -f "benchmarks/$(NAME).py" || { \
		echo "Say which: make bench NAME=... [ARGS=--json]. There are: $(BENCHMARKS)." >&2; exit 2; }
	@$(BIN)/python -m benchmarks.$(NAME) $(ARGS)

lock: $(BIN)/python
	@$(BIN)/python -m tools.lock

clean:
	rm -rf $(VENV) build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find src tests tools -name __pycache__ -type d -prune -exec rm -rf {} +

# --- the environment ---------------------------------------------------------------------------
# A stamp says which set is installed; it is older than pyproject.toml or constraints.txt when
# either changed, and then the set is installed again. The developers' set contains the users'.

install: $(VENV)/.installed
install-dev: $(VENV)/.installed-dev

$(BIN)/python:
	@python=$$(tools/find-python) || exit 1; \
	echo "Creating $(VENV) with $$python."; \
	"$$python" -m venv $(VENV) || { rm -rf $(VENV); exit 1; }

$(VENV)/.installed: pyproject.toml constraints.txt | $(BIN)/python
	@echo "Installing Muniment and its pinned packages into $(VENV) (minutes the first time)."
	@$(PIP_INSTALL) -e ".[ocr-headless,eval]"
	@$(PIP_INSTALL) --no-deps $(RAPIDOCR)
	@touch $@

$(VENV)/.installed-dev: pyproject.toml constraints.txt | $(BIN)/python
	@echo "Installing Muniment, its pinned packages and the developers' tools into $(VENV) (minutes the first time)."
	@$(PIP_INSTALL) -e ".[ocr-headless,eval,dev]"
	@$(PIP_INSTALL) --no-deps $(RAPIDOCR)
	@touch $(VENV)/.installed $@
