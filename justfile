# `just` lists the recipes; each is one call of `cargo xtask`.

[private]
default:
    @just --list

# From CT to report; skips what is done. `just pipeline --config my.toml`
pipeline *args:
    cargo xtask pipeline {{args}}

# Every patient predicted once, by weights that never saw them
cross-validate *args:
    cargo xtask cross-validate {{args}}

# How much more patients would help
learning-curve *args:
    cargo xtask learning-curve {{args}}

# Every test
test *args:
    cargo xtask test {{args}}

# Format, lints, crate arrows, tests, docs
check:
    cargo xtask check

# Benches
bench *args:
    cargo xtask bench {{args}}

# The crates' documentation
doc:
    cargo doc --release --workspace --no-deps --open
