# Two commands do everything on a fresh machine: `make demo` and `make test`.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --disable-pip-version-check --quiet -c constraints.txt
WORKERS ?= 2

.PHONY: demo window test check lint types contracts unit samples bench validate docs site system clean

demo: .make/demo
	$(BIN)/emtools batch sample_images -o results
	@echo "Open $(CURDIR)/results/index.html in a browser."

# The plugin in napari, with a sample image.
window: .make/window
	$(BIN)/napari sample_images/pbs_chains_detail.hspy

test: .make/test system
	@$(MAKE) --no-print-directory check

check: lint types contracts unit

lint:
	$(BIN)/ruff check src plugins tests benchmarks sample_images docs notebooks

types:
	$(BIN)/mypy

contracts:
	$(BIN)/lint-imports

# Each worker has a core to itself: threads of the linear algebra would only wait for each other.  The
# tests of a file stay together: what they share is made once.
unit: export OPENBLAS_NUM_THREADS = 1
unit:
	$(BIN)/pytest -n $(WORKERS) --dist loadfile
	cd plugins/napari-emtools && ../../$(BIN)/pytest -n $(WORKERS)

# Long studies and fault campaigns: minutes to hours.
validate: .make/test
	$(BIN)/python benchmarks/validate_attachment.py | tee docs/validation/attachment.txt
	$(BIN)/python benchmarks/validate_lattice.py
	$(BIN)/python benchmarks/validate_chains.py --pictures 5 | tee docs/validation/chains.txt
	$(BIN)/python benchmarks/validate_helix.py | tee docs/validation/helix.txt
	$(BIN)/python benchmarks/validate_population.py | tee docs/validation/population.txt
	$(BIN)/python benchmarks/validate_eds.py --spectra 15 | tee docs/validation/eds.txt
	$(BIN)/python benchmarks/probe_accuracy.py | tee docs/validation/probe.txt
	$(BIN)/python benchmarks/validate_rings.py | tee docs/validation/rings.txt
	$(BIN)/python benchmarks/validate_scale.py | tee docs/validation/scale.txt
	$(BIN)/python benchmarks/validate_contrast.py | tee docs/validation/contrast.txt
	EMTOOLS_KILLS=50 $(BIN)/pytest -s tests/test_store.py -k killed | tee docs/validation/batch_kills.txt

bench: .make/test
	$(BIN)/python benchmarks/start_up.py
	$(BIN)/python benchmarks/info.py
	$(BIN)/python benchmarks/memory.py
	$(BIN)/python benchmarks/lattice_speed.py | tee docs/validation/lattice_speed.txt
	$(BIN)/python benchmarks/chains_speed.py | tee docs/validation/chains_speed.txt
	$(PIP) --editable '.[bench]'
	$(BIN)/python benchmarks/rings_speed.py | tee docs/validation/rings_speed.txt
	$(BIN)/python benchmarks/eds_speed.py | tee docs/validation/eds_speed.txt
	$(BIN)/python benchmarks/velox_spectra.py | tee docs/validation/velox_spectra.txt
	$(BIN)/python benchmarks/velox_spectra.py --side 512 --events 2e7 | tee -a docs/validation/velox_spectra.txt
	$(BIN)/python benchmarks/batch_store.py | tee docs/validation/batch_store.txt
	$(BIN)/python benchmarks/batch_speed.py | tee docs/validation/batch_speed.txt
	$(BIN)/python benchmarks/napari_window.py | tee docs/validation/napari_window.txt

samples: .make/demo
	$(BIN)/python sample_images/make_samples.py

docs: .make/test
	$(BIN)/python docs/make_real_data.py
	$(BIN)/python docs/make_lattice_report.py
	$(BIN)/python docs/make_chains_report.py
	$(BIN)/python docs/make_eds_report.py
	$(BIN)/python docs/make_rings_report.py
	$(BIN)/python docs/make_scale_report.py
	$(BIN)/python docs/make_pictures.py
	$(BIN)/python docs/make_napari_pictures.py

# The documentation, its notebooks executed.
site: .make/test
	$(BIN)/sphinx-build -q -W --keep-going -c docs . build/site
	@echo "Open $(CURDIR)/build/site/index.html in a browser."

# A virtual display and a browser for the tests that need them; said plainly where they cannot be
# installed, and those tests are then skipped with the reason.
system:
	@sh tests/install_system_packages.sh

.make/venv:
	$(PYTHON) -m venv $(VENV)
	@mkdir -p .make && touch $@

.make/demo: .make/venv pyproject.toml constraints.txt
	$(PIP) --editable .
	@touch $@

.make/window: .make/venv pyproject.toml constraints.txt plugins/napari-emtools/pyproject.toml
	$(PIP) --editable . --editable 'plugins/napari-emtools[pyside6]'
	@touch $@ .make/demo

.make/test: .make/venv pyproject.toml constraints.txt plugins/napari-emtools/pyproject.toml
	$(PIP) --editable '.[test,docs]' --editable 'plugins/napari-emtools[test]'
	@touch $@ .make/demo

clean:
	rm -rf $(VENV) .make results
