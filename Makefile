# `make` alone lists what there is.
.DEFAULT_GOAL := help
SHELL := /bin/sh

PYTHON ?= python3
LAKE ?= lake
BENCH ?= build/near_duplicates
VENV := .venv
BIN := $(VENV)/bin
# Where Apertium is unpacked, if the system has none; the one setting that tells the engine where it lies.
export BACKPROMPT_APERTIUM ?= $(CURDIR)/.apertium
# The browser of the tests.
export BACKPROMPT_CHROMIUM ?= $(CURDIR)/.chromium/chromium

.PHONY: help run demo-muri test lint fmt type bench bench-texts bench-dedup bench-engines bench-memory soak dist languages clean \
  setup setup-dev apertium chromium

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-13s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

run: setup apertium ## Make pairs from the demo's documents, into LAKE=lake
	@$(BIN)/backprompt run --recipe conf/demo.yaml --lake "$(LAKE)"

demo-muri: LAKE = lake-muri
demo-muri: $(VENV)/.muri apertium ## Try the recipe muri over samples of every source, into LAKE=lake-muri, with export and report
	@$(BIN)/backprompt run --recipe demo-muri --lake "$(LAKE)"
	@$(BIN)/backprompt check --lake "$(LAKE)"
	@$(BIN)/backprompt export --lake "$(LAKE)" --to "$(LAKE)-export" --recipe demo-muri --allow-stand-in --overwrite \
	  --exclude-license unknown
	@$(BIN)/backprompt report --lake "$(LAKE)" --output "$(LAKE)-report.html"

test: setup-dev apertium chromium ## Run all tests (no GPU, no model hub, no secrets)
	$(BIN)/python -m pytest --numprocesses 2 --dist loadfile --no-loadscope-reorder

lint: setup-dev ## Check style and format
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

fmt: setup-dev ## Mend style and format
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

type: setup-dev ## Check types
	$(BIN)/mypy

bench: setup-dev apertium ## Measure speed as ratios to peers, in one run of some minutes
	sh benchmarks/near_duplicates/make-venvs.sh $(BENCH)/venvs sketches
	$(BIN)/python benchmarks/sketch.py --rensa $(BENCH)/venvs/sketches/bin/python
	$(BIN)/python -m benchmarks.near_duplicates --sizes 20000 --rounds 2 --tools ours baseline rensa-char \
	  --work $(BENCH) --venvs $(BENCH)/venvs
	$(BIN)/python -m benchmarks.increment --documents 1000 4000
	$(MAKE) bench-texts

bench-texts: setup-dev ## Only dump to text and web cleaning, against wikiextractor, mwparserfromhell and datatrove
	sh benchmarks/near_duplicates/make-venvs.sh $(BENCH)/venvs wikitext
	$(BIN)/python benchmarks/wikitext.py --wikiextractor $(BENCH)/venvs/wikitext/bin/python
	[ -e $(BENCH)/datatrove/.complete ] || { rm -rf $(BENCH)/datatrove && $(BIN)/python -m pip install --quiet \
	  --disable-pip-version-check --target $(BENCH)/datatrove -r benchmarks/datatrove.txt && touch $(BENCH)/datatrove/.complete; }
	$(BIN)/python -m benchmarks.cleaning --datatrove $(BENCH)/datatrove

bench-dedup: setup-dev apertium ## The same with all peers, larger corpora and an increment; hours
	sh benchmarks/near_duplicates/make-venvs.sh $(BENCH)/venvs
	$(BIN)/python -m benchmarks.near_duplicates --sizes 20000 100000 500000 --rounds 3 --work $(BENCH) --venvs $(BENCH)/venvs
	$(BIN)/python -m benchmarks.near_duplicates --sizes 500000 --hot 200000 --tools ours --work $(BENCH)
	$(BIN)/python -m benchmarks.near_duplicates.increment --documents 1000000 --no-truth --work $(BENCH)
	$(BIN)/python -m benchmarks.increment --documents 32000

bench-memory: setup-dev ## Export a million generated pairs, report on them, and measure the memory
	$(BIN)/python -m benchmarks.export --forms muri extended chat --work $(BENCH)/memory
	$(BIN)/python -m benchmarks.report_memory --work $(BENCH)/memory

bench-engines: setup-dev ## Measure translation against the obvious calls of transformers, on this machine's CPU
	$(BIN)/python -m benchmarks.engines --texts 200 --arrow-rows 100 --rounds 2

soak: setup-dev apertium ## Kill runs and workers and compare what was made; a cluster, and a lake in an object store
	$(BIN)/python -m tests.soak.soak --kills 25 --seed 1 --work build/soak
	$(BIN)/python -m pytest -m slow

dist: setup-dev ## Build the wheel and the zip for --py-files into dist/
	rm -rf dist
	$(BIN)/python -m build --wheel --outdir dist
	$(BIN)/python scripts/zip_for_spark.py dist

languages: setup-dev ## Build conf/languages.csv from data/tables
	$(BIN)/python scripts/build_languages.py

clean: ## Remove builds, caches and the demos' lakes; keep .venv, .apertium and .chromium
	rm -rf build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis spark-warehouse metastore_db derby.log lake lake-muri*
	find jobs udfs tests -name __pycache__ -type d -prune -exec rm -rf {} +

setup: $(VENV)/.run ## Make .venv with what the job needs

setup-dev: $(VENV)/.dev ## Make .venv with what tests and checks need

apertium: ## Put the embedded translation engine in place, without root
	@sh scripts/install-apertium.sh "$(BACKPROMPT_APERTIUM)"

chromium: ## Put the browser of the tests in place, without root
	@[ -x "$(BACKPROMPT_CHROMIUM)" ] || sh scripts/install-chromium.sh "$(CURDIR)/.chromium"

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "Backprompt needs Python 3.11 or newer; $(PYTHON) is older or missing. Try: make $(MAKECMDGOALS) PYTHON=python3.11" >&2; exit 2; }
	@$(PYTHON) -m venv $(VENV) || \
	  { rm -rf $(VENV); echo "$(PYTHON) cannot make a virtual environment. On Debian or Ubuntu: apt-get install python3-venv" >&2; exit 2; }

$(VENV)/.run: pyproject.toml constraints.txt | $(VENV)/bin/python
	@echo "Installing Backprompt into $(VENV) (once, a few minutes) ..."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e .
	@touch $@

$(VENV)/.muri: $(VENV)/.run
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[common-crawl,report]'
	@touch $@

$(VENV)/.dev: pyproject.toml constraints.txt | $(VENV)/bin/python
	@echo "Installing Backprompt and its test tools into $(VENV) (once, a few minutes) ..."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	@touch $(VENV)/.run $(VENV)/.muri $@
