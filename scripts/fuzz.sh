#!/usr/bin/env bash
# Fuzzes what reads bytes of others: scripts/fuzz.sh [SECONDS] [TARGET …]
#
# Each target runs for SECONDS (default 60) from the committed corpus in fuzz/corpus; what is found on the way is kept
# in target/fuzz/corpus and begun with the next time. Targets: link, frame (default: both). Ends with 1 at the first
# fault; the input that shows it lies in fuzz/artifacts/TARGET.
#
# A nightly compiler is not needed: there is no sanitizer, as the desktop's paths have no unsafe code to be watched; overflow and debug assertions are on.
set -euo pipefail
cd "$(dirname "$0")/.."

seconds=${1:-60}
shift || true
targets=("$@")
[ ${#targets[@]} -gt 0 ] || targets=(link frame)
command -v cargo-fuzz >/dev/null || cargo install cargo-fuzz --locked --quiet
# libFuzzer's coverage needs flags of rustc that are unstable.
export RUSTC_BOOTSTRAP=1
common=(--sanitizer none --target-dir target/fuzz/build)

for target in "${targets[@]}"; do
  mkdir -p "target/fuzz/corpus/$target" "fuzz/corpus/$target"
  cargo fuzz run "${common[@]}" "$target" "target/fuzz/corpus/$target" "fuzz/corpus/$target" -- \
    -max_total_time="$seconds" -max_len=65536 -timeout=20 -rss_limit_mb=4096 -print_final_stats=1 2>&1 |
    { grep -E "number_of_executed_units|ERROR|panicked|SUMMARY|Test unit written|^error" || true; } |
    sed "s/^/$target: /"
  [ -z "$(ls "fuzz/artifacts/$target" 2>/dev/null)" ] || {
    echo "$target: a fault; its input lies in fuzz/artifacts/$target" >&2
    exit 1
  }
done
