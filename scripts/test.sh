#!/usr/bin/env bash
# The whole test suite: once plainly, once under the race detector with -short.
set -euo pipefail
# shellcheck source=scripts/lib.sh
. "$(dirname "$0")/lib.sh"
need_go

step 'go test ./...'
run_tests tests ./...

if ! command -v "$(go env CC)" >/dev/null && [ "${CI:-}" != true ]; then
  printf '\nno C compiler, so no race detector: go test -race is left out\n'
  exit 0
fi
step 'go test -race -short ./...'
CGO_ENABLED=1 run_tests race -race -short ./...
