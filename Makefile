# Two verbs matter: `make run` and `make test`. Each does the set-up it needs.
PYTHON ?= python3
AS_OF ?= 2017-11-15
# The morning on which the reports of that day are due.
DAY = $(shell $(PYTHON) -c 'import datetime as d; print(d.date.fromisoformat("$(AS_OF)") + d.timedelta(1))' 2>/dev/null || echo $(AS_OF))
BIN := .venv/bin
# Kernels and workers must not each start a thread a core.
export OPENBLAS_NUM_THREADS ?= 1
export OMP_NUM_THREADS ?= 1

# Modules that take longest are begun first, so that none of them ends alone.
LONG := simulation kill bench notebooks

.PHONY: help setup run test check bench soak golden lock clean

help:          ## this list
	@grep -E '^[a-z]+: .*##|^[a-z]+:  *##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | sort

setup: .venv/.installed  ## the virtual environment, from the lock file

.venv/.installed: requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else "Python 3.11 or newer is needed: make PYTHON=python3.11 ...")'
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@$(BIN)/runner kernel >/dev/null
	@touch $@

run: setup     ## five finished reports for one day (AS_OF=2017-11-15), where they lie, and the desk over them
	@# After the reports, the scheduler's looks of that morning. Where it has looked at a later time, it has seen all there is.
	@# The desk of another day ends; whatever came of the reports, there is one to look at them.
	@echo "runner run --all --as-of $(AS_OF) --now $(DAY)T08:30"; code=0; \
	$(BIN)/runner run --all --as-of $(AS_OF) --now $(DAY)T08:30 || code=$$?; \
	for at in 08:35 09:30; do $(BIN)/runner tick --now $(DAY)T$$at >/dev/null 2>&1 || true; done; \
	$(BIN)/runner serve --stop >/dev/null 2>&1 || true; \
	$(BIN)/runner serve --only desk --now $(DAY)T09:31 --background --sign-in engineer_a && exit $$code

test: check    ## everything that proves them, in under ten minutes
	$(BIN)/python -m pytest -n 4 --dist loadscope --no-loadscope-reorder $(LONG:%=tests/test_%.py) tests/test_*.py

check: setup   ## style and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

bench: setup   ## ours beside the usual way, with every target: reports/bench, in about 25 minutes
	$(BIN)/python -m tests.bench

soak: setup    ## 500 warm reports in one process: nothing may grow, in about eight minutes
	$(BIN)/python -m tests.soak --runs 500

golden: setup  ## run the notebooks by hand, as JupyterLab would, and store their outputs normalised
	$(BIN)/runner run daily_growth --as-of $(AS_OF) --no-deliver
	$(BIN)/jupyter nbconvert --to notebook --execute --inplace notebooks/*.ipynb
	$(BIN)/nbstripout --keep-output --keep-count --keep-id notebooks/*.ipynb

lock: setup    ## new versions: requirements.lock and environment.yml
	$(PYTHON) -m venv .cache/lock
	.cache/lock/bin/pip install --quiet uv
	.cache/lock/bin/uv pip compile pyproject.toml --quiet --upgrade --extra test --extra build --universal --python-version 3.11 \
		--generate-hashes --no-header --no-emit-index-url --no-emit-find-links -o requirements.lock
	$(BIN)/python tests/environment.py > environment.yml

clean:         ## drop the environment, the caches and the warehouse; reports stay
	rm -rf .venv .cache .mypy_cache .ruff_cache .pytest_cache
