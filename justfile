# The recipes call what the automation calls; nothing is done twice.

default:
    @just --list

# Format, lints, and the policy on dependencies when cargo-deny is here
check:
    cargo fmt --all --check
    cargo clippy --workspace --all-targets --locked -- -D warnings
    if command -v cargo-deny >/dev/null; then cargo deny --locked check; else echo "cargo-deny is not installed: policy not checked"; fi

# Every test; those of the servers are skipped, visibly, when the servers are down
test *ARGS:
    tests/run {{ARGS}}

# The real servers on loopback: install, start, stop, status, wipe
services *ARGS="start":
    tests/services {{ARGS}}

# Rewrite the snapshots and the generated parts of the documents
bless:
    TGW_TEST_BLESS=1 cargo test --locked --test it cli::

# Measure this machine
bench *ARGS="--rate 50 --seconds 60":
    cargo run --release --locked -- bench {{ARGS}}

# The whole way with made-up messages, without a server
demo *ARGS="--seconds 10":
    cargo run --release --locked -- demo {{ARGS}}
