#!/usr/bin/env bash
# Fuzzes what reads bytes of others: scripts/fuzz.sh [SECONDS] [TARGET …]
#
# Each target runs for SECONDS (default 60) from the committed corpus in fuzz/corpus; what is found on the way is kept
# in target/fuzz/corpus and begun with the next time. Default: all targets, one a core at a time. Ends with 1 where there
# is a fault; the input that shows it lies in fuzz/artifacts/TARGET. At the end: executions of all targets together.
#
# Only this workspace's crates are compiled with libFuzzer's counters, so that everything else is what `cargo build`
# made. There is no sanitizer, as the desktop's paths have no unsafe code to be watched; overflow and debug assertions
# are on. `cargo fuzz run --features libfuzzer TARGET` works, too.
set -euo pipefail
cd "$(dirname "$0")/.."

export SECONDS_EACH=${1:-60}
shift || true
targets=("$@")
[ ${#targets[@]} -gt 0 ] || targets=(link frame onnx data folder json)
RUSTC_WORKSPACE_WRAPPER=$PWD/scripts/coverage-rustc.sh cargo build -q -p fuzz --features libfuzzer

# Runs a target.
fuzz() {
  local target=$1 found=fuzz/artifacts/$1 log=target/fuzz/$1.log count
  mkdir -p "target/fuzz/corpus/$target" "$found"
  "target/debug/$target" "target/fuzz/corpus/$target" "fuzz/corpus/$target" -artifact_prefix="$found/" \
    -max_total_time="$SECONDS_EACH" -max_len=65536 -timeout=20 -rss_limit_mb=4096 -print_final_stats=1 >"$log" 2>&1 || true
  count=$(sed -n 's/^stat::number_of_executed_units: *//p' "$log")
  if [ -n "$(ls "$found")" ] || [ -z "$count" ]; then
    grep -E "ERROR|panicked|SUMMARY|Test unit written" "$log" | sed "s/^/$target: /" >&2 || true
    echo "$target: a fault; see $log, and $found for the input" >&2
    return 1
  fi
  echo "$target: $count executions"
}
export -f fuzz

printf '%s\n' "${targets[@]}" | xargs -P "$(nproc)" -I TARGET bash -c 'fuzz TARGET' || exit 1
logs=("${targets[@]/#/target/fuzz/}")
sed -n 's/^stat::number_of_executed_units: *//p' "${logs[@]/%/.log}" |
  awk '{ total += $1 } END { print "all: " total " executions" }'
