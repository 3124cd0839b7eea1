# Shared by the scripts in this folder; sourced, never run.
# shellcheck shell=bash

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cd "$root"

# step WORDS...: a heading with the seconds since the script began.
step() { printf '\n== %s (at %d s)\n' "$*" "$SECONDS"; }

# need_go: puts the go command in PATH, or says how to get it and gives up.
need_go() {
  if ! command -v go >/dev/null && [ -x /usr/local/go/bin/go ]; then
    PATH=$PATH:/usr/local/go/bin
    export PATH
  fi
  local wanted
  wanted=$(awk '$1 == "go" { print $2 }' go.mod)
  if ! command -v go >/dev/null; then
    printf 'Go is neither in PATH nor in /usr/local/go.\n' >&2
    printf 'Sluice needs Go %s or later: unpack the archive from https://go.dev/dl/ to /usr/local/go.\n' "$wanted" >&2
    exit 1
  fi
  if ! go version >/dev/null 2>&1; then # an older go that may not fetch the one go.mod asks for
    go version >&2 || true
    printf 'Sluice needs Go %s or later: https://go.dev/dl/\n' "$wanted" >&2
    exit 1
  fi
}

# functions KIND PACKAGES...: "PACKAGE NAME" for each function named KIND..., such
# as Fuzz or Benchmark, in the packages' tests.
functions() {
  local kind=$1
  shift
  go test -list "^$kind" "$@" | awk -v kind="^$kind" '
    $1 ~ kind { names[n++] = $1 }
    $1 == "ok" || $1 == "?" { for (i = 0; i < n; i++) print $2, names[i]; n = 0 }'
}

# run_tests NAME FLAGS... PACKAGES: go test with a readable report that closes with
# "NAME: n passed, n failed, n skipped". Tests on real devices share the machine with
# whatever else it does: up to three that failed are run again, each alone and three times,
# and all is well if they pass each time. What they said at first stays in the output.
run_tests() {
  local name=$1 again=bin/again package test
  shift
  local flags=("${@:1:$#-1}")
  mkdir -p bin
  go build -o bin/testreport ./internal/testreport
  # Three packages at a time: those with devices and labs wait more than they work.
  go test -json -timeout 5m -p 3 "$@" | bin/testreport -name "$name" -again "$again" && return
  [ -s "$again" ] || return 1
  while read -r package test; do
    step "unsteady: $test of $package; again, three times"
    go test -json -timeout 5m -count 3 "${flags[@]}" -run "^$test\$" "$package" </dev/null |
      bin/testreport -name "$name, again" || return 1
  done <"$again"
}
