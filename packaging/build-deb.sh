#!/bin/sh
# Builds the Debian package: the program, its manual page and completions, the unit,
# the configuration and the dashboard. Needs `cargo install cargo-deb`.
#
# usage: packaging/build-deb.sh [PROFILE]
set -eu
cd "$(dirname "$0")/.."
profile=${1:-release}
cargo build --locked --profile "$profile" --bin mcpwatch
case $profile in dev) folder=debug ;; *) folder=$profile ;; esac
program=${CARGO_TARGET_DIR:-target}/$folder/mcpwatch
made=target/package-files
mkdir -p "$made"
"$program" man >"$made/mcpwatch.1"
"$program" completions bash >"$made/mcpwatch.bash"
"$program" completions zsh >"$made/_mcpwatch"
"$program" completions fish >"$made/mcpwatch.fish"
cargo deb --no-build --locked --profile "$profile"
