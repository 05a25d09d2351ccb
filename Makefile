# rustup's directory, for shells opened before its installation.
export PATH := $(PATH):$(or $(CARGO_HOME),$(HOME)/.cargo)/bin

# Most tests wait for other programs and for timers, so more of them at once take less time. Those with a browser do not wait.
CORES := $(shell getconf _NPROCESSORS_ONLN)
TEST_THREADS ?= $(shell expr 2 '*' $(CORES))

.DEFAULT_GOAL := help
.PHONY: help setup run build test bench check check-format check-language check-lints check-docs check-dependencies client test-packages bench-packages rust

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-20s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

run: rust client ## Build the server and start it (ARGS="--port 8080")
	cargo run --release --locked -- $(ARGS)

build: rust client ## Build the server: target/release/parlor (or below CARGO_TARGET_DIR)
	cargo build --release --locked

setup: ## Install the system packages of the tests, as root or by sudo
	@scripts/setup

test: rust setup test-packages bench-packages ## Install the tests' packages and run all tests (ARGS="name of a test")
	RUST_TEST_THREADS=$(TEST_THREADS) cargo test --locked --workspace $(or $(ARGS),-- --skip page::)
	$(if $(ARGS),,cargo test --locked --workspace --tests page:: -- --test-threads=$(CORES))
	cargo test --locked --workspace --tests $(ARGS) -- --ignored --test-threads=1
	$(if $(ARGS),,cargo test --locked --package parlor --features otel --test it export::)

bench: rust client bench-packages ## Measure Parlor beside a Node server and write bench/RESULTS.md (ARGS="--only idle")
	cargo build --release --locked
	cargo build --release --locked --package parlor-bench
	"$$(scripts/target-directory)/release/parlor-bench" $(if $(ARGS),$(ARGS),--output bench)

check: check-format check-language check-lints check-docs check-dependencies ## All checks but the tests

check-format: rust ## Formatting
	cargo fmt --all --check

check-language: ## The prose of docs and comments
	@scripts/check-language

check-lints: rust client ## Clippy, warnings are errors
	cargo clippy --locked --workspace --all-targets -- -D warnings
	cargo clippy --locked --package parlor --features otel --all-targets -- -D warnings

check-docs: rust client ## The crate's documentation, warnings are errors
	RUSTDOCFLAGS="-D warnings" cargo doc --locked --workspace --no-deps --document-private-items

check-dependencies: rust ## Licences, bans, sources and advisories of the crates
	@scripts/check-dependencies

client:
	@scripts/install-client

test-packages:
	@scripts/install-test-packages

bench-packages:
	@scripts/setup postgres npm redis
	@scripts/install-bench-packages

rust:
	@command -v cargo >/dev/null || { echo "error: Rust is missing. Install it from https://rustup.rs and try again." >&2; exit 1; }
