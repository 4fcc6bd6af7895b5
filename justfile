# The everyday commands. `just` alone lists them.

default:
    @just --list

# A whole run against the simulator, into a fresh database.
demo:
    cargo run -- demo

# What CI runs.
ci:
    bash .ci/run

# The tests.
test:
    cargo test --locked

# The tests about PostgreSQL on 14 to 18, or on those named: `just postgres-versions 14 17`.
postgres-versions *versions:
    bash .ci/postgres-versions {{versions}}

# Format and lint.
lint:
    cargo fmt --all
    cargo clippy --locked --all-targets -- -D warnings

# Ratios against bare inserts and plain parsing, measured side by side.
bench:
    cargo bench

# A stand-in for Enedis on loopback.
simulate:
    cargo run -- simulate

# Write docs/errors.md again from the error catalogue.
docs-errors:
    UPDATE_DOCS=1 cargo test --locked catalogue

# Plays each alert with Prometheus' own rule engine.
alerts:
    bash .ci/alerts

# Installs, runs and removes the Debian package in a throw-away copy of this machine (as root).
trial:
    packaging/trial/run

# Manual pages, completions and a Debian package (needs cargo-deb).
package:
    cargo run --locked --example packaging
    cargo deb --locked
