#!/usr/bin/env bash
# install.sh install|uninstall: what `make build` has built, with its manual pages,
# completions, unit and an example, below $DESTDIR.
#
#   PREFIX   /usr/local; the package has /usr
#   DESTDIR  empty: this machine
#   SLUICE   bin/sluice: the binary
#
# A configuration that is there is never touched, neither by install nor by uninstall,
# nor is the state in /var/lib/sluice.
set -euo pipefail
# shellcheck source=scripts/lib.sh
. "$(dirname "$0")/lib.sh"

PREFIX=${PREFIX:-/usr/local}
DESTDIR=${DESTDIR:-}
SLUICE=${SLUICE:-bin/sluice}
case $PREFIX in /*) ;; *) printf 'PREFIX=%s is not an absolute path\n' "$PREFIX" >&2; exit 2 ;; esac

zsh=$PREFIX/share/zsh/site-functions
# What Debian's zsh looks at, where packages put things.
[ "$PREFIX" != /usr ] || zsh=/usr/share/zsh/vendor-completions

bin=$PREFIX/bin/sluice
unit=$PREFIX/lib/systemd/system/sluice.service
man=$PREFIX/share/man/man1
doc=$PREFIX/share/doc/sluice
completions=(
  "bash/sluice $PREFIX/share/bash-completion/completions/sluice"
  "zsh/_sluice $zsh/_sluice"
  "fish/sluice.fish $PREFIX/share/fish/vendor_completions.d/sluice.fish"
)

# put MODE SOURCE DESTINATION
put() { install -D -m "$1" "$2" "$DESTDIR$3"; }

# keep MODE SOURCE DESTINATION: put, unless something is there.
keep() {
  if [ -e "$DESTDIR$3" ] || [ -L "$DESTDIR$3" ]; then
    printf 'kept as it is: %s\n' "$DESTDIR$3"
  else
    put "$@"
  fi
}

reload() {
  if [ -z "$DESTDIR" ] && [ -d /run/systemd/system ]; then
    systemctl daemon-reload
  fi
}

install_all() {
  if [ ! -x "$SLUICE" ]; then
    printf '%s is not there: run make build before, as yourself\n' "$SLUICE" >&2
    exit 1
  fi
  local work
  work=$(mktemp -d)
  # shellcheck disable=SC2064 # now, not then
  trap "rm -rf '$work'" EXIT
  # Defaults of flags that come from the environment are not this machine's.
  env -u SLUICE_API -u STATE_DIRECTORY "$SLUICE" gen man "$work/man"
  env -u SLUICE_API -u STATE_DIRECTORY "$SLUICE" gen completion "$work/completion"
  gzip -9n "$work"/man/*
  sed "s|^ExecStart=/usr/local/bin/|ExecStart=$PREFIX/bin/|" deploy/sluice.service >"$work/sluice.service"

  put 755 "$SLUICE" "$bin"
  put 644 "$work/sluice.service" "$unit"
  rm -f "$DESTDIR$man"/sluice.1.gz "$DESTDIR$man"/sluice-*.1.gz # of commands that there are no more
  for page in "$work"/man/*; do put 644 "$page" "$man/${page##*/}"; done
  for c in "${completions[@]}"; do put 644 "$work/completion/${c% *}" "${c#* }"; done
  for file in README.md docs/*.md; do put 644 "$file" "$doc/${file##*/}"; done
  for file in examples/*; do [ -d "$file" ] || put 644 "$file" "$doc/examples/${file##*/}"; done
  put 644 deploy/sluice.yaml "$doc/examples/etc-sluice.yaml"
  # A folder that holds something is a configuration.
  if [ -n "$(ls -A "$DESTDIR/etc/sluice" 2>/dev/null)" ]; then
    printf 'kept as it is: %s\n' "$DESTDIR/etc/sluice"
  else
    put 640 deploy/sluice.yaml /etc/sluice/sluice.yaml
  fi
  keep 644 deploy/sluice.default /etc/default/sluice
  reload
  if [ -z "$DESTDIR" ]; then
    printf 'installed; next: edit /etc/sluice/sluice.yaml, systemctl enable --now sluice\n'
  fi
}

uninstall_all() {
  if [ -z "$DESTDIR" ] && [ -d /run/systemd/system ] && systemctl is-active --quiet sluice; then
    printf 'sluice is running: systemctl disable --now sluice\n' >&2
    exit 1
  fi
  rm -f "$DESTDIR$bin" "$DESTDIR$unit" "$DESTDIR$man"/sluice.1.gz "$DESTDIR$man"/sluice-*.1.gz
  for c in "${completions[@]}"; do rm -f "$DESTDIR${c#* }"; done
  rm -rf "$DESTDIR$doc"
  reload
  for kept in /etc/sluice /etc/default/sluice /var/lib/sluice; do
    [ ! -e "$DESTDIR$kept" ] || printf 'left there: %s\n' "$DESTDIR$kept"
  done
}

case ${1:-} in
  install) install_all ;;
  uninstall) uninstall_all ;;
  *) printf 'usage: %s install|uninstall\n' "$0" >&2; exit 2 ;;
esac
