#!/usr/bin/env bash
# bench.sh PATTERN TIME COUNT [PACKAGE...]: the benchmarks whose names match,
# after the facts of the machine that a figure means nothing without.
set -euo pipefail
# shellcheck source=scripts/lib.sh
. "$(dirname "$0")/lib.sh"
need_go

pattern=$1 time=$2 count=$3
shift 3
[ $# -gt 0 ] || set -- ./...

printf 'machine: %s, %s cores; kernel %s; %s; load %s\n' \
  "$(awk -F': ' '/^model name/ { print $2; exit }' /proc/cpuinfo)" "$(nproc)" "$(uname -r)" \
  "$(go version | cut -d' ' -f3)" "$(cut -d' ' -f1-3 /proc/loadavg)"

mapfile -t packages < <(functions Benchmark "$@" | cut -d' ' -f1 | sort -u)
[ ${#packages[@]} -gt 0 ] || { printf 'no benchmark in %s\n' "$*"; exit 0; }
go test -run '^$' -bench "$pattern" -benchtime "$time" -count "$count" -benchmem "${packages[@]}"
