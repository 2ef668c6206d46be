# The commands of this project; `make` alone lists them.
# Needed: Rust (with rustfmt and clippy), a C and a C++ compiler, Go 1.26 for the control plane of tests and demo.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

CARGO_DENY_VERSION := 0.20.2
BIN_DIR := $(abspath $(or $(CARGO_TARGET_DIR),target))/debug
# Tests and environment take the binaries that `build` made, all from one compilation.
export AZUREML_BIN_DIR := $(BIN_DIR)

.PHONY: help
help: ## List the commands
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 14

.PHONY: demo
demo: build ## Show everything from nothing, against azure-sim; KEEP=1 leaves it up
	@$(BIN_DIR)/azureml-env demo

.PHONY: up
up: build ## Start Kubernetes, azure-sim and the operator in the background; variables in .local/env
	@$(BIN_DIR)/azureml-env up

.PHONY: down
down: build-env ## End what `make up` started
	@$(BIN_DIR)/azureml-env down

# End-to-end tests wait more than they compute: more at a time than there are cores.
TEST_THREADS ?= 6
.PHONY: test
test: build tools ## All tests, with a real API server; the first run builds it (about 10 minutes on two cores)
	cargo test --workspace -- --test-threads $(TEST_THREADS)

SECONDS_EACH ?= 30
.PHONY: fuzz
fuzz: ## Fuzz all that parses; SECONDS_EACH=300 for longer, TARGETS="plans ids" for some
	@tests/fuzz/run.sh $(SECONDS_EACH) $(TARGETS)

# `make model PART="two deeds"` walks through those whose name holds that.
.PHONY: model
model: ## Walk the model of the operator's decisions through wider bounds than `make test` does (about half an hour)
	AZUREML_MODEL="$(PART)" cargo test --package azureml-operator --test model -- --ignored --nocapture

# Binaries as they are shipped; `make bench WHAT="burst many"` measures some of it, OPTIONS="--objects 10000" sets its size.
.PHONY: bench
bench: ## Measure the operator against its bounds; figures as a table and in .local/bench/ (about 15 minutes)
	cargo build --release --package azureml-operator --package azure-sim --package azureml-tests --bins
	AZUREML_BIN_DIR=$(dir $(BIN_DIR))release $(dir $(BIN_DIR))release/azureml-bench $(WHAT) $(OPTIONS)

.PHONY: book
book: ## Make the book of docs/ in target/book
	@cargo run --quiet --package azureml-book

.PHONY: check
check: check-format check-lints check-generated check-deny check-advisories ## Format, lints, generated files, licences and dependencies

.PHONY: generate
generate: ## Write crds/ and docs/reference/ from src/api
	cargo run --quiet --package azureml-api --bin crdgen

.PHONY: fmt
fmt: ## Format the sources
	cargo fmt --all
	cd tests/fuzz && cargo fmt

.PHONY: build build-env tools
build:
	cargo build --workspace --bins

build-env:
	@cargo build --quiet --package azureml-tests --bin azureml-env

# Before the tests rather than in them, where nobody would see what takes so long.
tools: build
	@$(BIN_DIR)/azureml-env tools

.PHONY: check-format check-lints check-generated check-deny check-advisories
check-format:
	cargo fmt --all --check
	cd tests/fuzz && cargo fmt --check

check-lints:
	cargo clippy --workspace --all-targets -- -D warnings
	cd tests/fuzz && cargo clippy --locked --bins -- -D warnings

check-generated:
	cargo run --quiet --package azureml-api --bin crdgen -- --check

check-deny: cargo-deny
	cargo deny check bans licenses sources

# The database of advisories is on the network. Without it the check says so and passes; a finding fails.
check-advisories: cargo-deny
	@if reason=$$(cargo deny fetch db 2>&1); then \
		echo cargo deny check advisories; \
		cargo deny check --disable-fetch advisories; \
	else \
		echo "skipped: cargo deny check advisories, because the database can't be fetched:"; \
		echo "$$reason" | tail -n 3 | sed 's/^/    /'; \
	fi

.PHONY: cargo-deny
cargo-deny:
	@cargo deny --version 2>/dev/null | grep -qxF 'cargo-deny $(CARGO_DENY_VERSION)' \
		|| cargo install --locked cargo-deny --version $(CARGO_DENY_VERSION)
