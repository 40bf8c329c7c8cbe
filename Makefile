# Two commands do everything on a fresh machine: `make demo` and `make test`.
.PHONY: help setup demo test test-quick servers lint bench proto lock clean
venv := .venv/bin
# what makes a network namespace is run apart where a plain user tests
live = tests/e2e/test_live_failover.py tests/e2e/test_live_faults.py
apart = $(if $(TESTS),,$(shell [ "$$(id -u)" = 0 ] || printf -- '--ignore=%s ' $(live)))
# two at a time: they wait more than they compute; tests/support/apiserver/fixtures.py says who gets what
workers = -n 2 --dist loadgroup --no-loadscope-reorder
compile = $(venv)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header

help:            ## this list
	@sed -n 's/^\([a-z-]*\):.*## /  make \1\t/p' Makefile

setup:           ## create .venv with the locked dependencies (both commands below call it)
	@.ci/setup

demo: setup      ## two clusters with real Envoys under load, faults one after another (about three minutes)
	@$(venv)/tideover demo $(DEMO)

test: setup lint $(if $(TESTS),,servers) ## everything, with real Envoys and real Kubernetes API servers
	@$(venv)/pytest $(if $(TESTS),,$(workers)) $(TESTS) $(apart)
	@# these make a network namespace, which a plain user may only in a process of its own
	@[ "$$(id -u)" = 0 ] || [ -n "$(TESTS)" ] || \
	  PYTHONPATH=tests $(venv)/python -m support.network $(venv)/python -m pytest $(live)

test-quick: setup lint ## the same without what needs real API servers
	@$(venv)/pytest $(if $(TESTS),,$(workers)) -m "not apiserver" $(TESTS)

servers: setup   ## build kube-apiserver and etcd for the tests, once (5 to 10 minutes, then cached)
	@cd tests && ../$(venv)/python -m support.apiserver

lint: setup      ## ruff, mypy --strict, import-linter
	@$(venv)/ruff check .
	@$(venv)/ruff format --check .
	@$(venv)/mypy
	@$(venv)/lint-imports

bench: setup     ## measure pushes, memory and pure costs; see benchmarks/README.md
	@$(venv)/python -m benchmarks $(BENCH)

proto: setup     ## regenerate proto/tideover_proto from proto/*.proto
	@$(venv)/python proto/generate.py

lock: setup      ## bring requirements.lock, and the image's part of it, up to date with pyproject.toml
	@$(venv)/python -m pip install --quiet uv
	@$(compile) --group dev --extra demo pyproject.toml -o requirements.lock
	@$(compile) --constraint requirements.lock pyproject.toml -o deploy/run.lock
	@echo hatchling | $(compile) --constraint requirements.lock - -o deploy/build.lock

clean:           ## remove what setup, tests and the demo made
	rm -rf .venv dist demo-run demo-report.* .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
