#!/usr/bin/env bash
# Installs what apt-packages lists and this machine lacks. When nothing is
# missing it returns at once and asks no network. Without root or apt it says
# what is left out and goes on; in CI (CI=true) that is a failure, because
# tests that skip for want of a program would look like tests that pass.
set -euo pipefail
# shellcheck source=scripts/lib.sh
. "$(dirname "$0")/lib.sh"

present() {
  case $1 in
    /*) [ -e "$1" ] ;;
    *) command -v "$1" >/dev/null ;;
  esac
}

missing=() reasons=()
while read -r package sign why; do
  case $package in '' | '#'*) continue ;; esac
  if ! present "$sign"; then
    missing+=("$package")
    reasons+=("$package ($why)")
  fi
done <scripts/apt-packages

[ ${#missing[@]} -gt 0 ] || exit 0

give_up() {
  printf 'setup: %s; not installed:\n' "$1"
  printf '  %s\n' "${reasons[@]}"
  printf '  apt-get install %s\n' "${missing[*]}"
  [ "${CI:-}" != true ] || exit 1
  exit 0
}

command -v apt-get >/dev/null || give_up 'no apt-get here'
[ "$(id -u)" -eq 0 ] || give_up 'not root'

printf 'setup: installing %s\n' "${missing[*]}"
export DEBIAN_FRONTEND=noninteractive
log=$(mktemp)
trap 'rm -f "$log"' EXIT

# apt WORDS...: apt-get, whose thousand lines matter only when it fails.
apt() {
  printf 'setup: apt-get %s\n' "$1"
  apt-get -q -o DPkg::Lock::Timeout=120 -o Acquire::Retries=3 "$@" >"$log" 2>&1 && return
  tail -n 20 "$log"
  give_up "apt-get $1 failed"
}
apt update
apt install -y --no-install-recommends "${missing[@]}"
