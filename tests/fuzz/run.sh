#!/usr/bin/env bash
# Fuzzes every decoder: run.sh [--record] [CPU_SECONDS_PER_TARGET] [TARGET...]
#
# Needs a C++ compiler for libFuzzer and no other toolchain than the project's. EDGENET_FUZZ_JOBS targets run at once, EDGENET_FUZZ_SEED
# repeats a run. Inputs that were found stay under target/fuzz/corpus and are where the next run starts. A target that
# crashes fails the run; its input lies under target/fuzz/crashes. A record keeps the rows of the record before it for
# targets that were not run: hours of fuzzing are put together from many runs, each with its date and commit.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
work=${CARGO_TARGET_DIR:-$root/target}/fuzz
host=$(rustc -vV | sed -n 's/^host: //p')
bin=$work/$host/release

# One target for so many seconds of CPU time, in as many runs as a busy machine makes of it; leaves its row of the record.
one() {
  local name=$1 most=$2 seconds=$3 log=$work/logs/$1.log began status=0 slice=0 cpu=0 runs=0
  mkdir -p "$work/corpus/$name" "$work/crashes" "$work/rows" "$work/logs"
  began=$(date +%s)
  TIMEFORMAT='%U %S'
  while [ "$status" = 0 ] && awk "BEGIN { exit !($cpu < $seconds) }"; do
    slice=$((slice + 1))
    { time EDGENET_FUZZ=$name EDGENET_FUZZ_SEEDS=$work/corpus/$name "$bin/fuzz" -seed="$((seed + slice))" \
      -max_total_time="$(awk "BEGIN { print int($seconds - $cpu + 1) }")" -max_len="$most" -rss_limit_mb=1024 \
      -timeout=60 -reload=0 -print_final_stats=1 -artifact_prefix="$work/crashes/$name-" "$work/corpus/$name" \
      >"$log" 2>&1; } 2>"$log.time" || status=$?
    cpu=$(awk -v before="$cpu" 'END { print before + $1 + $2 }' "$log.time")
    runs=$((runs + $(sed -n 's/^stat::number_of_executed_units: *//p' "$log" | tail -n 1 | grep . || echo 0)))
  done
  local coverage features inputs crashes=0
  read -r coverage features inputs < <(awk '/ cov: / {
    for (i = 1; i < NF; i++) { if ($i == "cov:") c = $(i + 1); if ($i == "ft:") f = $(i + 1); if ($i == "corp:") n = $(i + 1) }
    split(n, parts, "/"); n = parts[1] } END { print c + 0, f + 0, n + 0 }' "$log")
  [ "$status" = 0 ] || crashes=1
  printf '{ "target": "%s", "cpu_seconds": %s, "wall_seconds": %s, "executions": %s, "edges": %s, "features": %s, "inputs": %s, "crashes": %s, "date": "%s", "commit": "%s" }\n' \
    "$name" "$cpu" "$(($(date +%s) - began))" "$runs" "$coverage" "$features" "$inputs" "$crashes" \
    "$(date -u +%F)" "$commit" >"$work/rows/$name.json"
  printf '%-10s %9s CPU s %12s runs %6s edges %7s features %6s inputs  %s\n' \
    "$name" "$cpu" "$runs" "$coverage" "$features" "$inputs" "$([ $crashes = 0 ] && echo ok || echo CRASH)"
  if [ $crashes = 1 ] && [ "$name" != canary ]; then
    grep -m 3 -E 'panicked at|^==[0-9]+== ERROR|Test unit written' -A 1 "$log" || tail -n 5 "$log"
  fi
  return "$status"
}

# Rows of the last record for targets that have none here.
earlier() {
  local last
  last=$(ls "$root"/bench/records/*-fuzz.json 2>/dev/null | tail -n 1)
  [ -n "$last" ] || return 0
  sed -n 's/^ *\({ "target": "\([^"]*\)".* }\),\{0,1\}$/\2 \1/p' "$last" | while read -r name row; do
    [ -e "$work/rows/$name.json" ] || printf '%s\n' "$row"
  done
}

# The machine, as records of benchmarks tell it.
machine() {
  printf '{ "cpu": "%s", "cores": %s, "memory_mib": %s, "system": "%s" }' \
    "$(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | head -n 1)" "$(nproc)" \
    "$(awk '/^MemTotal/ { print int($2 / 1024) }' /proc/meminfo)" "linux $(uname -m) $(uname -r)"
}

record=false
[ "${1:-}" != --record ] || { record=true; shift; }
seconds=${1:-10}
shift || true
seed=${EDGENET_FUZZ_SEED:-$(date +%s)}
commit=$(git -C "$root" rev-parse --short HEAD 2>/dev/null || echo unknown)

cd "$here"
CARGO_TARGET_DIR=$work RUSTC_WRAPPER=$here/instrument.sh cargo build --quiet --release --locked --target "$host"
echo "seed $seed, $seconds CPU s a target, ${EDGENET_FUZZ_JOBS:=$(nproc)} at once"

# A fuzzer that does not find what was planted finds nothing.
rm -rf "$work/corpus/canary" "$work/rows"
if one canary 64 30 >/dev/null; then
  echo "the planted fault was not found in 30 s" >&2
  exit 1
fi
grep -q 'the planted fault' "$work/logs/canary.log" || { cat "$work/logs/canary.log" >&2; exit 1; }
echo "the planted fault was found"
rm -f "$work"/crashes/canary-* "$work/rows/canary.json"

failed=0 running=0
while read -r name most; do
  [ "$name" != canary ] || continue
  [ $# = 0 ] || [[ " $* " = *" $name "* ]] || continue
  if [ "$running" -ge "$EDGENET_FUZZ_JOBS" ]; then
    wait -n || failed=1
    running=$((running - 1))
  fi
  one "$name" "$most" "$seconds" &
  running=$((running + 1))
done < <("$bin/fuzz" 2>/dev/null)
while [ "$running" -gt 0 ]; do
  wait -n || failed=1
  running=$((running - 1))
done

{
  printf '{\n  "date": "%s",\n  "machine": %s,\n  "compiler": "%s",\n  "seed": %s,\n  "rows": [\n' \
    "$(date -u +%F)" "$(machine)" "$(rustc --version)" "$seed"
  { cat "$work"/rows/*.json; earlier; } | sort | sed '$!s/$/,/; s/^/    /'
  printf '  ]\n}\n'
} >"$work/fuzz.json"
if $record; then
  cp "$work/fuzz.json" "$root/bench/records/$(date -u +%F)-fuzz.json"
  echo "recorded in bench/records/$(date -u +%F)-fuzz.json"
fi
exit $failed
