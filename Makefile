# Everything a newcomer needs: make demo, make lab, make test, make check, make bench.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
UV_VERSION := 0.13.9
# Jupyter asks for this where the user is root, as in containers.
ALLOW_ROOT := $(if $(filter 0,$(shell id -u)),--allow-root)
# The environment is the project's own: its compiled files save each process seconds at its start.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: demo lab extension extension-if-possible test test-transformers check check-gpu format bench soak browser lock clean

$(VENV)/.installed: requirements/dev.lock pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check uv==$(UV_VERSION)
	$(BIN)/uv pip sync --quiet requirements/dev.lock
	$(BIN)/uv pip install --quiet --no-deps --editable .
	touch $@

demo: $(VENV)/.installed          ## run the quickstart without a screen; pages go to build/demo/
	$(BIN)/python notebooks/run.py notebooks/01_quickstart.ipynb --output build/demo

lab: extension-if-possible        ## open JupyterLab on the quickstart
	$(BIN)/jupyter lab $(ALLOW_ROOT) notebooks/01_quickstart.ipynb

extension: $(VENV)/.installed     ## build the JupyterLab extension, where its sources are others, and show it to this JupyterLab
	$(BIN)/python extension/build.py --link

# Without Node JupyterLab opens without our panels, and says so.
extension-if-possible: $(VENV)/.installed
	$(BIN)/python extension/build.py --link --optional

test: extension browser           ## every test, the browser's included
	$(BIN)/pytest
	node --test tests/js

# Not in `make test`: torch takes 2 GB, and which build of it there is depends on the index, so no lock holds for all.
test-transformers: $(VENV)/.transformers-installed   ## the engine that needs torch, on the CPU or a GPU
	$(BIN)/pytest tests/gpu tests/contracts/test_engine.py -k "transformers or check"

check-gpu: $(VENV)/.transformers-installed   ## what only a machine with a GPU can show; exit status 77 where there is none
	$(BIN)/python -m tests.gpu.check

$(VENV)/.transformers-installed: $(VENV)/.installed requirements/transformers.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --requirement requirements/transformers.txt
	touch $@

check: extension                  ## lint, types, architecture
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/pytest -q tests/unit/test_architecture.py
	cd extension && node_modules/.bin/tsc --noEmit && node_modules/.bin/tsc -p tsconfig.static.json && node_modules/.bin/biome ci --error-on-warnings --colors=off

format: extension
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .
	cd extension && node_modules/.bin/biome check --write

bench: $(VENV)/.bench-installed   ## figures against peers, in one run
	$(BIN)/python -m tests.benchmarks

# The peers come on top of what is installed, under the same versions.
$(VENV)/.bench-installed: $(VENV)/.installed requirements/bench.lock
	$(BIN)/uv pip install --quiet --requirements requirements/bench.lock
	touch $@

soak: $(VENV)/.installed browser          ## five minutes of mixed load: memory and descriptors must stay flat; then a quick stream
	$(BIN)/python -m tests.soak
	DSPEX_STREAM_S=30 $(BIN)/pytest -q tests/browser/panel_harness/test_stream.py

browser: $(VENV)/.installed       ## find a browser for the tests, or install one
	$(BIN)/python tests/browser/install.py

lock: $(VENV)/.installed          ## resolve the dependencies again
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header \
	  --no-emit-package llama-cpp-python --no-emit-package llm \
	  --group dev --extra local pyproject.toml requirements/model.in -o requirements/dev.lock
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header \
	  --group bench --constraints requirements/dev.lock -o requirements/bench.lock

clean:
	rm -rf build dist extension/lib extension/labextension .mypy_cache .pytest_cache .ruff_cache .hypothesis
