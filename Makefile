# What a person types here. Every target sets up what it needs.

PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
READY  := $(VENV)/.ready
# pip unpacks one package after the other: two of it, with half of the lock each, take half the time
LOCKED := $(BIN)/pip install --quiet --no-compile --disable-pip-version-check --only-binary :all: --require-hashes --no-deps

.PHONY: demo pane test check bench lock docs clean

demo: $(READY)  ## set up and run the main job on the bundled recording
	$(BIN)/crosspane demo

pane: $(READY)  ## the same, and then in a browser until Ctrl-C
	$(BIN)/crosspane demo --serve

test: $(READY)  ## set up and pass the tests
	-@tests/kube-apiserver/build
	$(BIN)/pytest -n 2 $(TESTS)

check: $(READY)  ## what CI asks besides the tests: format, lint, types, generated docs
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/python -m docs.generate --check

bench: $(READY)  ## speed, beside a peer measured in the same run
	$(BIN)/python -m bench

docs: $(READY)  ## write docs/reference from the definitions
	$(BIN)/python -m docs.generate

lock: $(READY)  ## resolve requirements.lock anew; needs uv
	uv pip compile --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
		--no-header --extra dev --output-file requirements.lock pyproject.toml

clean:  ## remove what make and crosspane made here
	rm -rf $(VENV) .cache .hypothesis .mypy_cache .ruff_cache crosspane-data

$(READY): requirements.lock pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "crosspane needs Python 3.11 or newer: make PYTHON=python3.11 ...")'
	$(PYTHON) -m venv $(VENV)
	awk '/^[^ #]/ { nth++ } { print > ("$(VENV)/locked" nth % 2) }' requirements.lock
	$(LOCKED) -r $(VENV)/locked0 & other=$$!; $(LOCKED) -r $(VENV)/locked1; done=$$?; wait $$other && exit $$done
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	touch $@
