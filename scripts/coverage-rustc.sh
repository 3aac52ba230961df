#!/bin/sh
# Stands before rustc for the crates of this workspace (RUSTC_WORKSPACE_WRAPPER, scripts/fuzz.sh): compiles them with
# the counters of branches that libFuzzer reads, and those that read bytes of others with what it sees of comparisons.
# Build scripts run without libFuzzer and get none.
case " $* " in
*" --crate-name build_script_build "*) exec "$@" ;;
*" --crate-name firmware "*) ;;
*) set -- "$@" -Cllvm-args=-sanitizer-coverage-trace-compares ;;
esac
exec "$@" --cfg fuzzing -Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
  -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table
