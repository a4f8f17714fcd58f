#!/usr/bin/env bash
# A wrapper of rustc: the code under test counts its branches and shows libFuzzer what it compares. Dependencies do not:
# the inside of SHA-256 or of a curve says nothing about a decoder, and would cost half the speed.
set -euo pipefail
flags=()
previous=
for argument in "$@"; do
  if [ "$previous" = --crate-name ]; then
    case $argument in
      ledger | identity | fuzz)
        flags=(--cfg fuzzing -Ccodegen-units=1 -Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4
          -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table
          -Cllvm-args=-sanitizer-coverage-trace-compares)
        ;;
    esac
  fi
  previous=$argument
done
exec "$@" "${flags[@]}"
