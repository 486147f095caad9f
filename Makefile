# From a fresh clone: `make apply` brings up a database, `make test` runs the tests. Both install what they need.
# `make smoke` runs the heart of the tests in under a minute.
# `make environments` migrates with other releases of Alembic and other drivers, each installed on its own, and runs the
# tests on servers of other majors, which npm downloads.
# `make faults` kills, cuts and stops runs in every way there is; it needs PgBouncer.
# `make fleet` does 1,200 targets on four servers and kills workers, the coordinator and a server meanwhile.
# `make site` builds the documentation as a site in build/site.
# `make benchmarks` measures against other tools, for hours, and writes docs/benchmarks.md.
# `make real-projects` runs real projects through it and compares with plain Alembic; it downloads a lot.
VENV := .venv
BIN := $(VENV)/bin
PYTHON ?= python3
ENVIRONMENT ?= development
STAMPS := $(VENV)/.stamps
INSTALL = "$(BIN)/python" -m pip install --quiet --disable-pip-version-check -c constraints.txt

# The majors that are tested beside the embedded 18 and the distribution's own, and what runs on each.
MAJORS ?= 14 16 17
SERVER_TESTS ?= tests
# Of the long tests, `make test` runs a third: that whose turn it is at this commit. `make test PART=1/1` runs all.
PART ?= $(shell expr $$(git rev-list --count HEAD 2>/dev/null || echo 0) % 3 + 1)/3
BENCHMARKS ?= growth page rows backups starts clones arrivals stampede fleet

.PHONY: apply plan test smoke faults environments releases servers fleet real-projects benchmarks lint format types layers schema
.PHONY: man site check clean

apply: $(STAMPS)/tool
	"$(BIN)/bootstrapper" apply -e $(ENVIRONMENT)

plan: $(STAMPS)/tool
	"$(BIN)/bootstrapper" plan -e $(ENVIRONMENT)

test: $(STAMPS)/dev
	BOOTSTRAPPER_TEST_PART=$(PART) "$(BIN)/python" -m pytest -n 3 --dist worksteal -m 'not faults and not environments'

smoke: $(STAMPS)/dev
	"$(BIN)/python" -m pytest -n 2 --dist worksteal -m smoke

faults: $(STAMPS)/dev
	"$(BIN)/python" -m pytest -n 2 --dist worksteal -m faults

environments: releases servers

releases: $(STAMPS)/dev
	"$(BIN)/python" -m pytest -n 2 --dist worksteal tests/environments

servers: $(STAMPS)/dev
	set -e; for major in $(MAJORS); do \
	    BOOTSTRAPPER_TEST_SERVER=$$major \
	        "$(BIN)/python" -m pytest -n 2 --dist worksteal -m 'not faults and not environments' $(SERVER_TESTS); \
	done

fleet: $(STAMPS)/dev
	"$(BIN)/python" -m tests.fleet.campaign

real-projects: $(STAMPS)/dev
	"$(BIN)/python" -m tests.real_projects

benchmarks: $(STAMPS)/dev
	$(INSTALL) matplotlib
	set -e; for script in $(BENCHMARKS); do "$(BIN)/python" benchmarks/$$script.py; done

lint: $(STAMPS)/dev
	"$(BIN)/ruff" check .

format: $(STAMPS)/dev
	"$(BIN)/ruff" format --check .

types: $(STAMPS)/dev
	"$(BIN)/mypy"

layers: $(STAMPS)/dev
	"$(BIN)/lint-imports"

schema: $(STAMPS)/tool
	"$(BIN)/bootstrapper" config schema > config/bootstrap.schema.json
	"$(BIN)/bootstrapper" config schema --plan > config/plan.schema.json

man: $(STAMPS)/dev
	"$(BIN)/python" docs/man.py build/man

site: $(STAMPS)/docs
	NO_MKDOCS_2_WARNING=1 "$(BIN)/mkdocs" build --quiet --strict

check: lint format types layers test environments faults

clean:
	rm -rf $(VENV) build dist *.egg-info

$(STAMPS)/venv:
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "bootstrapper needs Python 3.11 or newer")'
	$(PYTHON) -m venv $(VENV)
	mkdir -p $(STAMPS)
	touch $@

$(STAMPS)/tool: $(STAMPS)/venv pyproject.toml constraints.txt
	$(INSTALL) -e '.[embedded]'
	touch $@

$(STAMPS)/dev: $(STAMPS)/venv pyproject.toml constraints.txt
	$(INSTALL) -e '.[embedded,dev]'
	touch $(STAMPS)/tool $@

$(STAMPS)/docs: $(STAMPS)/venv pyproject.toml constraints.txt
	$(INSTALL) -e '.[docs]'
	touch $@
