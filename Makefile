# `make help` lists the targets. The two that matter: `make quickstart` and `make test`.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

# rustup puts its programs there, and a shell that is not a login shell does not look there.
export PATH := $(or $(CARGO_HOME),$(HOME)/.cargo)/bin:$(PATH)
# What is built once and kept, such as cargo-deny.
CACHE := $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/blit
ifeq ($(CI),true)
# A checkout of continuous integration is thrown away; what it built is not.
export CARGO_TARGET_DIR ?= $(HOME)/.cache/blit/target
# Nobody edits there, so incremental compilation only costs time and space.
export CARGO_INCREMENTAL ?= 0
endif
TARGET := $(or $(CARGO_TARGET_DIR),target)
export BLIT_STEPS := $(TARGET)/steps
STEP := scripts/step
BLIT := $(TARGET)/quick/blit
# The folder of the test cluster, and the image that its nodes get.
export BLIT_CLUSTER ?= $(abspath $(TARGET))/cluster
E2E_IMAGE := $(TARGET)/image/blit-e2e.tar
# What shows most in three minutes.
E2E_CORE := a_claim_becomes_an_exact_mirror two_claims_on_one_node a_suspended_job_stops a_claim_made_from_a_template \
	a_restricted_namespace_runs a_baseline_namespace_runs an_empty_source_is_refused too_many_deletions after_success_nothing \
	a_killed_destination_mover the_definition_applies every_example_is_accepted
# Names of tests to run on the cluster; all if empty.
E2E_TESTS ?=
# The same in the virtual machine.
VM_TESTS ?=

##@ For everybody

.PHONY: quickstart
quickstart: ## install what is missing, build, mirror a real tree of this machine, verify it
	@scripts/setup quickstart
	@$(MAKE) build-quick
	@scripts/quickstart $(BLIT)

.PHONY: test
test: ## everything that CI runs (as root: the tests mount file systems and give files away)
	@$(STEP) --begin
	@$(STEP) setup scripts/setup test
	@$(STEP) format $(MAKE) check-format
	@$(STEP) scripts $(MAKE) check-scripts
	@$(STEP) dependencies $(MAKE) check-dependencies
	@$(STEP) clippy $(MAKE) check-clippy
	@$(STEP) test-build cargo test --locked --workspace --no-run
	@$(STEP) generated $(MAKE) check-generated
	@$(STEP) tests cargo test --locked --workspace --no-fail-fast
	@$(STEP) quickstart $(MAKE) quickstart
	@$(STEP) quickstart-altered $(MAKE) quickstart-altered
	@$(STEP) bench-harness $(MAKE) bench-harness
	@$(STEP) cluster-build $(MAKE) cluster-build
	@$(STEP) chart $(MAKE) check-chart
	@$(STEP) image $(MAKE) image-e2e
	@$(STEP) e2e $(MAKE) e2e
	@$(STEP) --report

.PHONY: help
help: ## this list
	@awk 'BEGIN { FS = ":.*## " } \
		/^##@/ { printf "\n%s\n", substr($$0, 5) } \
		/^[a-z0-9-]+:.*## / { printf "  %-20s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

##@ Building

.PHONY: build
build: ## the blit program with all optimisations, in target/release
	@scripts/setup quickstart
	cargo build --locked --release --package blit --bin blit

.PHONY: build-quick
build-quick:
	@echo "building the blit program (minutes the first time, seconds afterwards)"
	@cargo build --locked --profile quick --package blit --bin blit

.PHONY: image
image: ## the image of movers and operator, an OCI archive in target/image (root)
	@scripts/setup image
	cargo build --locked --release --package blit --package blit-operator --bins
	@scripts/image $(TARGET)/image/blit.tar

# With the programs that the integration tests are compiled with, and not by `cargo build`: that gives some dependencies other features,
# and would compile half of them again.
.PHONY: image-e2e
image-e2e:
	@scripts/setup image
	cargo test --locked --workspace --test it --no-run
	@scripts/image $(E2E_IMAGE) --profile dev --name blit.test/blit:e2e

.PHONY: gen
gen: ## write the generated files again: the CRD, its chart template, the reference pages
	cargo run --locked --quiet --package blit-crds --bin crdgen
	UPDATE_REFERENCE=1 cargo test --locked --quiet --package blit --package blit-operator --lib the_reference
	cargo run --locked --quiet --package blit-operator --example metrics-reference >docs/reference/metrics.md

.PHONY: fmt
fmt: ## format the Rust code
	cargo fmt --all

.PHONY: clean
clean: ## remove what was built and what the quickstart and the benchmarks left
	cargo clean
	rm -rf target

##@ Checking, one by one

.PHONY: lint
lint: ## formatting, clippy, shell scripts, dependencies, generated files
	@scripts/setup lint
	@$(MAKE) check-format check-scripts check-dependencies check-clippy check-generated

.PHONY: check-format
check-format:
	cargo fmt --all --check

.PHONY: check-clippy
check-clippy:
	cargo clippy --locked --workspace --all-targets -- -D warnings
# They are no part of "all targets", because `cargo test` alone must not ask for a cluster, nor for another kernel.
	cargo clippy --locked --package blit-e2e --test cluster --test vm -- -D warnings

.PHONY: check-scripts
check-scripts:
	@scripts/check-scripts

.PHONY: check-dependencies
check-dependencies:
	@scripts/check-dependencies

.PHONY: check-generated
check-generated:
	cargo run --locked --quiet --package blit-crds --bin crdgen -- --check
	cargo test --locked --quiet --package blit --package blit-operator --lib the_reference

.PHONY: check-chart
check-chart: ## the Helm chart: lint, schema, expected files, examples, the tables of the guide
	@$(MAKE) cluster-build
	@programs=$$(e2e/cluster/build) && kubernetes=$$(cd e2e/cluster/programs/servers && go list -m -f '{{.Dir}}' k8s.io/kubernetes) && \
		scripts/check-chart "$$programs/helm" "$$programs/kubeconform" "$$kubernetes/api/openapi-spec/swagger.json"

.PHONY: quickstart-altered
quickstart-altered: ## the quickstart must fail when one byte of its destination is altered before the check
	@scripts/quickstart-altered $(BLIT)

.PHONY: deny
deny: ## cargo-deny itself on bans, licences and sources (compiles for minutes the first time)
	@scripts/setup lint
	@scripts/tool cargo-deny 0.20.2 $(CACHE)/tools
	$(CACHE)/tools/bin/cargo-deny check bans licenses sources

.PHONY: advisories
advisories: ## known vulnerabilities of dependencies (fetches the RustSec database from github.com)
	@scripts/setup lint
	@scripts/tool cargo-deny 0.20.2 $(CACHE)/tools
	$(CACHE)/tools/bin/cargo-deny check advisories

.PHONY: coverage
coverage: ## line coverage of the tests, by crate, without generated code; fails below 80 % (needs root, as the tests do)
	@scripts/setup test
	@scripts/tool cargo-llvm-cov 0.9.1 $(CACHE)/tools
	@echo "coverage: rustup installs llvm-tools from static.rust-lang.org, unless it is there"
	rustup component add llvm-tools
# The programs that the tests start count too. A process that is killed with SIGKILL only loses what it would have told.
	$(CACHE)/tools/bin/cargo-llvm-cov llvm-cov test --locked --workspace --json --summary-only --output-path $(TARGET)/coverage.json
	@scripts/coverage $(TARGET)/coverage.json 80

##@ A real cluster on this machine

.PHONY: cluster-up
cluster-up: ## a Kubernetes of two nodes with Blit in it, from this checkout; again after a change: the new image and chart (root)
	@$(MAKE) cluster-build
	@e2e/cluster/up
	@$(MAKE) cluster-install

.PHONY: cluster-install
cluster-install: ## the image and the chart of this checkout into the cluster that is up
	@$(MAKE) image-e2e
	@e2e/cluster/install $(E2E_IMAGE)

.PHONY: cluster-down
cluster-down: ## end the cluster and remove all that it had
	@e2e/cluster/down

.PHONY: e2e
e2e: ## the tests on the cluster; starts one if none is up and ends it then; KEEP=1 lets it live (root)
	@$(MAKE) cluster-build
	@e2e/cluster/with $(MAKE) cluster-install e2e-tests

.PHONY: e2e-core
e2e-core: ## a dozen of them in three minutes: the uses, clean-up and one killed mover (root)
	@$(MAKE) cluster-build
	@e2e/cluster/with $(MAKE) cluster-install e2e-tests E2E_TESTS="$(E2E_CORE)"

.PHONY: e2e-tests
e2e-tests:
# Most of their time they wait: for pods to start, for deadlines to pass. More at once than there are processors.
	RUST_TEST_THREADS=4 cargo test --locked --workspace --test cluster -- $(E2E_TESTS)

.PHONY: demo
demo: ## one real MirrorJob on the cluster, watched and verified; the cluster stays up (root)
	@$(MAKE) cluster-up
	@e2e/cluster/demo

.PHONY: cluster-build
cluster-build: ## compile Kubernetes, Helm and the rest of the cluster, once (5 minutes on two idle cores; the Go module proxy)
	@scripts/setup cluster
	@e2e/cluster/build >/dev/null

##@ A kernel with modules on this machine

.PHONY: vm
vm: ## the tests that need a kernel with modules, such as TLS by the kernel, in an emulated machine (root; apt)
	@scripts/setup vm
	@e2e/vm/tests $(VM_TESTS)

##@ Measuring

BENCH = python3 -B e2e/bench/bench.py --blit $(TARGET)/release/blit --work $(TARGET)/bench --peers $(CACHE)/tools/bin --late $(TARGET)/debug/late \
	--floor $(TARGET)/release/examples/floor
# Rows to measure; all if empty. The others keep the figures that they have.
ROWS ?=
# File systems, ext4, xfs and btrfs (one row); each row's own if empty.
FS ?=
SOME = $(if $(ROWS),--only $(ROWS)) $(if $(FS),--fs $(FS))

.PHONY: bench
bench: ## every row against its peers, three times; ROWS="small mixed" FS=ext4 some only; writes docs/benchmarks.md (root, 20 GB of disk, 20 of memory)
	@$(MAKE) bench-build
	@$(BENCH) --figures docs/benchmarks.json --write docs/benchmarks.md $(SOME)

.PHONY: bench-quick
bench-quick: ## the same once, printed only
	@$(MAKE) bench-build
	@$(BENCH) --runs 1 $(SOME)

.PHONY: bench-build
bench-build:
	@scripts/setup bench
	@scripts/tool cpz 3.2.1 $(CACHE)/tools
	@scripts/tool xcp 0.24.9 $(CACHE)/tools
	@$(MAKE) build
	cargo build --locked --package blit-e2e --bin late
	cargo build --locked --release --package blit-engine --example floor

# One of each kind.
HARNESS_ROWS = small sparse checksum one-percent deleted pairs reflink small-cold small-seccomp small-loopback small-network delta-network \
	delayed-network limited-network

.PHONY: bench-harness
bench-harness: ## tests of the benchmark harness: its own, and one run of each kind at a hundredth of the size
	@scripts/setup harness
	@python3 -B -m unittest discover --start-directory e2e/bench --pattern 'test_*.py'
	@$(MAKE) build-quick
	cargo build --locked --package blit-engine --example floor
	@python3 -B e2e/bench/bench.py --blit $(BLIT) --floor $(TARGET)/debug/examples/floor --work $(TARGET)/bench-harness --runs 1 --scale 0.01 --fs ext4 btrfs --only $(HARNESS_ROWS)
