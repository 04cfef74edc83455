# Everything a newcomer types. All of it works on a fresh clone with Python 3.11 or newer, git and make.

PYTHON ?= python3
PORT ?= 8000
SANDBOX_PORT ?= 8010
INSTANCE ?= instance
export PORT SANDBOX_PORT INSTANCE

BIN := .venv/bin
TYPED := app.py wsgi.py config.py models.py jobs.py commands.py bench blueprints services sandbox scripts tests
PO := $(wildcard translations/*/LC_MESSAGES/messages.po)
MO := $(PO:.po=.mo)

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

.PHONY: help run test model check weight lighthouse bench chaos restore-exercise screenshots pictures i18n fmt
help: ## list the commands
	@grep -hE '^[a-z0-9-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "make %-16s %s\n", $$1, $$2}'

run: .venv/installed $(MO) ## start the shop on its sandbox; PORT=8000 SANDBOX_PORT=8010 INSTANCE=instance
	@exec $(BIN)/python -m scripts.demo

test: .venv/installed-dev $(MO) ## run every test, in a browser too; ARGS="-k renewal" for some of them
	@$(BIN)/python -m scripts.chromium
	$(BIN)/pytest -n 3 --dist loadgroup $(ARGS)

model: .venv/installed-dev $(MO) ## random stories against the rules of the books; ARGS="--model-examples=5000 --hypothesis-seed=7"
	$(BIN)/pytest -n 2 tests/faults/test_model.py $(ARGS)

check: .venv/installed-dev $(MO) ## formatting, lint, types, templates, arrows, catalogues, migrations, weight; then the tests
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy $(TYPED)
	$(BIN)/djlint templates --lint --quiet
	$(BIN)/lint-imports
	$(BIN)/python -m scripts.check_catalogues
	$(BIN)/python -m scripts.check_migrations
	$(BIN)/python -m scripts.weight
	@$(MAKE) --no-print-directory test

weight: .venv/installed-dev $(MO) ## bytes of every page in every language; fails when one is too heavy
	@$(BIN)/python -m scripts.weight

lighthouse: .venv/installed-dev $(MO) ## Lighthouse on the pages that matter, five runs each; ARGS="--runs 1 --pages home --languages en"
	@$(BIN)/python -m scripts.lighthouse $(ARGS)

bench: .venv/installed-dev $(MO) ## measure the pages against a bare Flask hello
	$(BIN)/python -m bench

chaos: .venv/installed-dev $(MO) ## 1,000 orders while everything goes wrong, then the books; ARGS="--orders 100 --seed 2"
	@$(BIN)/python bench/chaos.py $(ARGS)

restore-exercise: .venv/installed-dev $(MO) ## lose a shop's database and get its orders back; ARGS="--database sqlite"
	@$(BIN)/python -m scripts.restore_exercise $(ARGS)

screenshots: .venv/installed-dev $(MO) ## a traveller's way in every language, and a contact sheet of each, in build/screenshots/
	@$(BIN)/python -m scripts.screenshots $(ARGS)

pictures: .venv/installed-dev $(MO) ## the picture that is shown with a link to the shop, one for each language
	@$(BIN)/python -m scripts.share_pictures

i18n: .venv/installed-dev ## extract the texts, bring every catalogue in step, compile them
	$(BIN)/python -m scripts.update_catalogues
	@$(MAKE) --no-print-directory catalogues

.PHONY: catalogues
catalogues: $(MO)

fmt: .venv/installed-dev ## format the code and mend what ruff can mend
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

%/messages.mo: %/messages.po | .venv/installed
	@$(BIN)/pybabel --quiet compile -i $< -o $@ && test -f $@

.venv/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python 3.11 or newer is needed: make PYTHON=python3.12 ..."; exit 1; }
	$(PYTHON) -m venv .venv

.venv/installed: requirements.txt requirements-sandbox.txt | .venv/bin/python
	$(BIN)/pip install --quiet --disable-pip-version-check -r requirements.txt -r requirements-sandbox.txt
	@touch $@

.venv/installed-dev: requirements-dev.txt .venv/installed
	$(BIN)/pip install --quiet --disable-pip-version-check -r requirements-dev.txt
	@touch $@
