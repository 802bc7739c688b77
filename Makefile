# `make` alone lists what there is. Python 3.11 or 3.12 is all that must be installed before.

PYTHON ?= $(shell for p in python3 python3.12 python3.11 python; do \
	"$$p" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 13))' 2>/dev/null \
	&& echo "$$p" && break; done)
NEEDS_PYTHON = $(or $(PYTHON),$(error Python 3.11 or 3.12 is needed; name one: make PYTHON=/path/to/python3.12))

# Test processes side by side; each keeps to one core.
WORKERS ?= 2

BIN := .venv/bin
COMPILE = $(BIN)/pip-compile --quiet --upgrade --generate-hashes --allow-unsafe --strip-extras \
	--no-emit-index-url --no-emit-find-links
# What the service's image installs.
SERVING = --extra triton --extra s3 --extra viewers --extra oidc --extra tracing

# Spinning OpenMP threads steal the time of the process beside them.
export OMP_WAIT_POLICY ?= passive

.DEFAULT_GOAL := help
.PHONY: help demo viewer ohif triton secrets test reliability fuzz check types style \
	check-tensorrt bench-gpu lock environment check-kubernetes load soak ratios sbom soup audit

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-16s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: ## click on a real MR volume through the real service; mask and picture in out/
	@$(NEEDS_PYTHON) scripts/environment.py demo
	@$(NEEDS_PYTHON) scripts/viewer.py try
	@.venv-demo/bin/python -m examples.demo

viewer: ## build the page that the service serves at /viewer/ (needs Node.js, or make environment)
	@$(NEEDS_PYTHON) scripts/viewer.py build

ohif: ## OHIF with our extension, a PACS and a scan to click on, at http://127.0.0.1:3000
	@$(NEEDS_PYTHON) scripts/environment.py ohif
	@exec .venv-demo/bin/python -m examples.ohif

triton: ## the demo bundle's models on a real Triton server, for sammoe serve --triton-url
	@$(NEEDS_PYTHON) scripts/environment.py triton
	@$(NEEDS_PYTHON) scripts/environment.py demo
	@exec .venv-demo/bin/sammoe triton

secrets: ## an API key and passwords for docker-compose.yml, in secrets/
	@$(NEEDS_PYTHON) scripts/make_secrets.py

test: check viewer ## linters, types, then every test that this machine can run, with coverage
	$(BIN)/python -m pytest --numprocesses $(WORKERS) --dist worksteal \
		--cov --cov-report term --durations 10

FUZZ_SECONDS ?= 300
FUZZED := nifti nrrd dicom packed frame

fuzz: environment ## fuzz every parser for FUZZ_SECONDS, and the API by its document
	@set -e; for target in $(FUZZED); do echo "== $$target"; \
		$(BIN)/python -m tests.fuzz $$target --seconds $(FUZZ_SECONDS) 2>&1 | tail -n 8; done
	SAMMOE_SCHEMATHESIS_EXAMPLES=100 $(BIN)/python -m pytest tests/integration/test_schemathesis.py

reliability: environment ## run what may go wrong, and write docs/reliability.md
	$(BIN)/python -m pytest -m fault --reliability --numprocesses $(WORKERS) --dist worksteal

check: environment ## linters and types only
	@$(MAKE) --no-print-directory --jobs 2 types style

types:
	$(BIN)/mypy

style:
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports
	$(BIN)/python scripts/viewer.py test
	$(BIN)/hadolint Dockerfile
	$(BIN)/check-jsonschema --builtin-schema vendor.compose-spec docker-compose.yml

check-tensorrt: environment ## TensorRT reads and builds every graph; needs no GPU, but 90 MB more
	@$(NEEDS_PYTHON) scripts/environment.py tensorrt
	$(BIN)/python -m scripts.check_tensorrt

check-kubernetes: ## policies (checkov) on deploy/kubernetes; an environment of its own, minutes
	@$(NEEDS_PYTHON) scripts/environment.py checkov
	.venv-checkov/bin/checkov --config-file deploy/kubernetes/checkov.yaml

load: environment ## radiologists at work on a real service, with a report in out/load/
	$(BIN)/python -m loadtests.load

soak: environment ## the same for half an hour on the whole service: does anything grow?
	$(BIN)/python -m loadtests.soak

ratios: environment ## the ratios by which the service's speed is judged, as one table
	$(BIN)/python -m loadtests.ratios

sbom: environment ## bill of materials of software and weights (CycloneDX), in out/
	$(BIN)/python -m scripts.sbom

soup: environment ## write docs/soup.md from the locks
	$(BIN)/python -m scripts.soup

audit: environment ## known vulnerabilities of what is locked; needs a network
	$(BIN)/python -m scripts.audit

bench-gpu: ## encoder and decoder on this machine's GPU; PYTHON needs torch and numpy alone
	@PYTHONPATH=service $(NEEDS_PYTHON) -m loadtests.bench_gpu

lock: environment ## pin the newest packages that pyproject.toml allows
	$(COMPILE) $(SERVING) --extra demo --extra dev \
		-o requirements/dev.lock pyproject.toml
	$(COMPILE) $(SERVING) --extra demo -c requirements/dev.lock \
		-o requirements/demo.lock pyproject.toml
	$(COMPILE) $(SERVING) -c requirements/demo.lock \
		-o requirements/serve.lock pyproject.toml
	$(COMPILE) -o requirements/triton.lock requirements/triton.in
	$(COMPILE) -o requirements/tensorrt.lock requirements/tensorrt.in
	$(COMPILE) -o requirements/checkov.lock requirements/checkov.in
	$(BIN)/python -m scripts.soup

environment:
	@$(NEEDS_PYTHON) scripts/environment.py test
