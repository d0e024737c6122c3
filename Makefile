# make install | demo | test | coverage | check | docs | package; PYTHON=python3.12 picks another interpreter.
# make gpu-pack CLIPS=folder STILLS=folder; make gpu-train RECIPE=small: docs/guides/train-on-a-gpu.md
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
PIP := $(BIN)/python -m pip install --disable-pip-version-check

PACK ?= runs/gpu-pack
RECIPE ?= small
OUT ?= runs/gpu-results

.PHONY: install demo test coverage check docs package gpu-pack gpu-train long-run curve clean

install: $(STAMP)

# Once, and again whenever the list of packages changes.
$(STAMP): pyproject.toml constraints.txt
	@command -v $(PYTHON) >/dev/null || \
		{ echo "$(PYTHON) not found: install Python 3.11 or newer, or say make PYTHON=..." >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "cyclesiam needs Python 3.11 or newer; $(PYTHON) is" \
		"$$($(PYTHON) --version 2>&1). Say make PYTHON=python3.11, or a newer one." >&2; exit 1; }
	@test -x $(BIN)/pip || $(PYTHON) -m venv $(VENV) || \
		{ echo "$(PYTHON) -m venv failed; on Debian and Ubuntu: apt install python3-venv" >&2; exit 1; }
	$(PIP) -c constraints.txt -e ".[dev]"
# The packages of OpenCV share a folder. Contrib, which has CSRT and KCF, must be written last.
	@$(BIN)/python -c 'import cv2; cv2.TrackerCSRT' 2>/dev/null || \
		$(PIP) -c constraints.txt --force-reinstall --no-deps opencv-contrib-python-headless
	@touch $@

demo: install
	$(BIN)/cyclesiam demo
	@echo
	@echo "Go on with your own video, after: source $(BIN)/activate"
	@echo "  cyclesiam track street.mp4 --box 120,80,64,48 --video followed.mp4"
	@echo "Without that, the program is $(CURDIR)/$(BIN)/cyclesiam"

# A process for each core, of one thread each; with PYTEST="-x -k name" some of them.
test: install
	OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 $(BIN)/python -m pytest -n auto $(PYTEST)

coverage: install
	$(BIN)/python -m pytest --cov=cyclesiam --cov-report=term:skip-covered

check: install
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/pyright

docs: install
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict

# A wheel and a source archive in dist/, and what their checkers say of them.
package: install
	rm -rf dist
	$(BIN)/python -m build
	$(BIN)/twine check --strict dist/*
	$(BIN)/check-wheel-contents dist/*.whl

gpu-pack: install
	$(BIN)/python scripts/gpu_pack.py --clips $(CLIPS) --stills $(STILLS) --output $(PACK) \
		$(if $(TUBES),--tubes $(TUBES)) $(OPTIONS)

# On the bare machine, where nothing is installed.
gpu-train:
	python3 $(PACK)/gpu_train.py --recipe $(RECIPE) --output $(OUT) $(OPTIONS)

# In a session of its own, so that its niceness counts beside other sessions.
long-run: install
	@mkdir -p runs/long
	setsid nohup $(BIN)/python scripts/long_run.py train $(SOURCES) $(OPTIONS) >> runs/long/log 2>&1 &
	@echo "It runs: tail -f runs/long/log"

curve: install
	$(BIN)/python scripts/long_run.py curve $(SOURCES) $(OPTIONS)

clean:
	rm -rf $(VENV) build dist site .pytest_cache .ruff_cache .hypothesis .coverage
