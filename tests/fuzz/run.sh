#!/usr/bin/env bash
# Fuzzes for some seconds each target: run.sh SECONDS [TARGET…]. Ends with 1 if something was found.
set -euo pipefail
cd "$(dirname "$0")"
seconds=$1
shift
[ $# -gt 0 ] || set -- $(basename -s .rs fuzz_targets/*.rs)

# Flags of the environment would take the place of those in .cargo/config.toml.
unset RUSTFLAGS CARGO_ENCODED_RUSTFLAGS
programs=$(cargo build --bins --message-format json | sed -n 's/.*"executable":"\([^"]*\)".*/\1/p')

found=0
for target in "$@"; do
    program=$(grep "/$target\$" <<<"$programs") || { echo "there is no target $target" >&2; exit 1; }
    mkdir -p "target/corpus/$target" "target/artifacts/$target"
    options=(-max_total_time="$seconds" -max_len=4096 -timeout=20 -rss_limit_mb=2048 -print_final_stats=1
        -artifact_prefix="target/artifacts/$target/")
    [ ! -f "dictionaries/$target" ] || options+=(-dict="dictionaries/$target")
    log="target/$target.log"
    if "$program" "${options[@]}" "target/corpus/$target" "corpus/$target" >"$log" 2>&1; then
        echo "$target: $(sed -n 's/^stat::number_of_executed_units: *//p' "$log") executions, nothing found"
    else
        found=1
        echo "$target: FOUND (log: tests/fuzz/$log)"
        grep -m 1 -A 3 'panicked at' "$log" | cut -c 1-400 | sed 's/^/    /' || true
        sed -n 's/^.*Test unit written to /    input: tests\/fuzz\//p' "$log"
    fi
done
exit $found
