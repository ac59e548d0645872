# Two commands do everything on a fresh Debian 12 machine: `make demo` and `make test`.
SHELL := /bin/bash
BIN := .venv/bin
STAGE := scripts/stage

.PHONY: help setup check test demo lab down conformance bench-vip bench-flap bench-scale bench-dns \
	bench-dns-bad bench-monitors bench-nft-layouts bench-dataplane image image-pins requirements values golden chart-test

help: ## Show this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

setup: ## Install what is missing: Debian packages, .venv, commands in .venv/bin
	@scripts/setup

check: setup ## Format, lint, types, import contracts, unit and property tests (no root)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo
	$(BIN)/python -m pytest tests/unit tests/property -q -n auto
# Tests that are compiled anew each time take as long to read as to run; some images ask for that.
check: export PYTHONDONTWRITEBYTECODE :=

test: ## Everything: check, contract tests on the real kernel, end-to-end tests in the lab
	@$(STAGE) "setup" 6 scripts/setup
	@$(STAGE) "leftovers" 2 $(BIN)/lbctl lab down
	@$(STAGE) "check" 3 env LBCTL_PROFILE=thorough $(MAKE) --no-print-directory check
	@$(STAGE) "programs" 16 $(BIN)/lbctl lab build
	@$(STAGE) "Kubernetes' suite" 4 $(BIN)/lbctl lab build e2e
	@$(STAGE) "contract tests" 16 $(BIN)/python -m pytest tests/contract -q
	@$(STAGE) "end-to-end tests" 24 $(BIN)/python -m pytest tests/e2e -v

demo: setup ## The main job, as a person would type it; KEEP=1 leaves the lab up
	@$(BIN)/python -m lbctl_lab.demo

lab: setup ## Bring the lab up with lbctl on it
	@$(BIN)/lbctl lab up

down: ## Take the lab away
	@$(BIN)/lbctl lab down

BACKEND ?= ovs
conformance: setup ## Kubernetes' own load-balancer cases, from outside; CASES="8 n8" picks some; BACKEND=nft CNI=vxlan
	@$(BIN)/python -m lbctl_lab.conformance --backend $(BACKEND) $(if $(CNI),--cni $(CNI)) $(CASES)

N ?= 1000
ROUNDS ?= 3
bench-vip: setup ## From create to address, N Services, beside MetalLB
	@$(BIN)/python tests/perf/bench_vip.py -n $(N) --rounds $(ROUNDS) $(if $(ENDPOINTS),--endpoints)

bench-flap: setup ## What a Service that changes 20 times a second costs others, on an API server alone
	@PYTHONPATH=tests $(BIN)/python tests/perf/bench_flap.py

SIZES ?= 1000,5000,10000
bench-scale: setup ## Thousands of Services: cold start, one change under churn, memory
	@$(BIN)/python tests/perf/bench_scale.py --sizes $(SIZES)

bench-dataplane: setup ## Paths to pods beside kube-proxy and HAProxy; OPTIONS="--only traffic --rounds 3"
	@lab/install-packages.sh tests/perf/packages.txt
	@$(BIN)/lbctl lab build kubernetes >/dev/null
	@PYTHONPATH=tests $(BIN)/python tests/perf/bench_dataplane.py $(OPTIONS)

bench-nft-layouts: setup ## Layouts of the nodes' nftables table: load, one change, listing
	@$(BIN)/python tests/perf/bench_nft_layouts.py $(OPTIONS)

bench-dns: setup ## DNS beside CoreDNS, NSD and Knot; OPTIONS="--rounds 5 --seconds 2 --markdown"
	@lab/install-packages.sh tests/perf/packages.txt
	@$(BIN)/lbctl lab build coredns >/dev/null
	@PYTHONPATH=tests:scripts $(BIN)/python tests/perf/bench_dns.py $(OPTIONS)

bench-dns-bad: setup ## What hostile datagrams cost, and how much a reply is larger than its query
	@PYTHONPATH=tests $(BIN)/python tests/perf/bench_dns_bad.py $(OPTIONS)

values: setup ## Generate the chart's values and schema, docs/reference and Containerfiles
	@$(BIN)/python scripts/generate_values.py
	@$(BIN)/python scripts/generate_metrics.py
	@$(BIN)/python scripts/generate_reasons.py
	@$(BIN)/python scripts/generate_annotations.py
	@$(BIN)/python scripts/generate_containerfiles.py

golden: values ## Write the reviewed renders of the chart again; look at the difference
	@LBCTL_GOLDEN=1 $(BIN)/python -m pytest tests/contract/test_chart.py -q -k reviewed

chart-test: setup ## The chart: lint, renders, schema, checks; as root also releases on a real API server
	@$(BIN)/python -m pytest tests/unit/test_values.py tests/contract/test_chart.py \
		tests/contract/test_chart_checks.py tests/contract/test_chart_release.py -q

bench-monitors: setup ## Thousands of health monitors: CPU, memory, and how soon they tell
	@$(BIN)/python tests/perf/bench_monitors.py $(OPTIONS)

image: setup ## Container images and bills of materials in dist/images, without an engine
	@$(BIN)/lbctl lab image build

image-pins: setup ## Pin the newest Debian packages of the images
	@apt-get update -qq && $(BIN)/lbctl lab image pin

PIN := $(BIN)/python -m uv pip compile --quiet --generate-hashes --no-emit-index-url --no-emit-find-links \
	--no-header --python-version 3.11

requirements: setup ## Pin again what pyproject.toml asks for
	$(PIN) --upgrade --all-extras pyproject.toml -o requirements/dev.txt
	for part in controller agent dns; do \
		$(PIN) --extra $$part -c requirements/dev.txt pyproject.toml -o requirements/$$part.txt || exit; done
	echo hatchling | $(PIN) -c requirements/dev.txt - -o requirements/build.txt
