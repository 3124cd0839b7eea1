#!/usr/bin/env bash
# Everything that reads the source and runs none of it. All checks run; the
# exit status is 1 if any found something. The tools' versions are pinned in
# tools/go.mod; rules of this project's own are in internal/archtest.
set -euo pipefail
# shellcheck source=scripts/lib.sh
. "$(dirname "$0")/lib.sh"
need_go

status=0
tool() { go tool -modfile=tools/go.mod "$@"; }

step go vet
go vet ./... || status=1

step gofumpt
unformatted=$(tool gofumpt -l .) || status=1
if [ -n "$unformatted" ]; then
  printf 'not formatted (make format mends it):\n%s\n' "$unformatted"
  status=1
fi

step staticcheck
tool staticcheck ./... || status=1

step 'archtest: imports, file length, package comments, unfinished marks, dependencies'
go test ./internal/archtest || status=1

[ $status -eq 0 ] || printf '\nlint: see above\n'
exit $status
