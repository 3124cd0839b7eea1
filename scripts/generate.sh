#!/usr/bin/env bash
# Writes the generated files anew and fails if that changed any: they are
# committed, and what is committed is what the generators write.
set -euo pipefail
# shellcheck source=scripts/lib.sh
. "$(dirname "$0")/lib.sh"
need_go

sums() { find . \( -name '*_gen.go' -o -name '*_string.go' \) -not -path './.git/*' -exec sha256sum {} + | sort -k2; }

before=$(sums)
go generate ./...
after=$(sums)
if [ "$before" != "$after" ]; then
  printf 'generated files have changed; commit them:\n'
  diff <(printf '%s\n' "$before") <(printf '%s\n' "$after") | awk '/^[<>]/ { print "  " $3 }' | sort -u
  exit 1
fi
