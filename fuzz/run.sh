#!/usr/bin/env bash
# Runs every fuzz target for some seconds, on the stable toolchain.
#
#     fuzz/run.sh [SECONDS] [TARGET...]
#
# SECONDS (60) is for each target; without TARGET all of them run. New inputs
# stay in fuzz/corpus-found/ (not committed), crashes in fuzz/artifacts/.
# Installs nothing: needs `cargo install cargo-fuzz` and a C++ compiler.
set -euo pipefail

seconds=${1:-60}
shift || true
cd "$(dirname "$0")"

if ! cargo fuzz --version >/dev/null 2>&1; then
    echo "cargo-fuzz is missing: cargo install cargo-fuzz" >&2
    exit 2
fi

targets=("$@")
if [ ${#targets[@]} -eq 0 ]; then
    mapfile -t targets < <(cargo fuzz list)
fi

# The crate denies `unsafe` code, so sanitizers, which need a nightly compiler,
# would have little to find.
failed=()
for target in "${targets[@]}"; do
    echo "== $target"
    mkdir -p "corpus-found/$target" "regressions/$target"
    cargo fuzz run --sanitizer none "$target" \
        "corpus-found/$target" "corpus/$target" "regressions/$target" -- \
        -max_total_time="$seconds" -timeout=10 -rss_limit_mb=2048 -print_final_stats=1 \
        || failed+=("$target")
    rmdir --ignore-fail-on-non-empty "regressions/$target"
done

if [ ${#failed[@]} -gt 0 ]; then
    echo "failed: ${failed[*]}" >&2
    exit 1
fi
