#!/usr/bin/env bash
# fuzz.sh TIME [PACKAGE...]: runs each fuzz test for TIME, such as 60s, one after
# the other, and stops at the first crash.
set -euo pipefail
# shellcheck source=scripts/lib.sh
. "$(dirname "$0")/lib.sh"
need_go

time=$1
shift
[ $# -gt 0 ] || set -- ./...

targets=$(functions Fuzz "$@")
[ -n "$targets" ] || { printf 'no fuzz test in %s\n' "$*"; exit 0; }
total=$(wc -l <<<"$targets")
n=0
while read -r package name; do
  n=$((n + 1))
  step "$n of $total: $name in $package for $time"
  if ! go test -run '^$' -fuzz "^$name\$" -fuzztime "$time" "$package" </dev/null; then
    printf '\n%s crashed. The input is under %s/testdata/fuzz/%s:\n' "$name" "$(go list -f '{{.Dir}}' "$package")" "$name"
    printf 'mend the code, then commit the input with it; go test replays it from then on.\n'
    exit 1
  fi
done <<<"$targets"
