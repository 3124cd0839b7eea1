#!/usr/bin/env bash
# deb.sh VERSION [DIR]: builds a Debian package, in dist/ or DIR. VERSION is what git
# describe says. The same sources make the same bytes: all times in it are
# SOURCE_DATE_EPOCH, or else that of the last commit. GOARCH is heeded. SLUICE=FILE is a
# binary that has been built already.
set -euo pipefail
# shellcheck source=scripts/lib.sh
. "$(dirname "$0")/lib.sh"
need_go

SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct 2>/dev/null || echo 0)}
export SOURCE_DATE_EPOCH

# debian_version DESCRIBED: v1.2.3 -> 1.2.3; v1.2.3-4-gabc -> 1.2.3+4.gabc; a commit
# without a tag before it -> 0~20260102.abc, which is before every release.
debian_version() {
  local v=$1 dirty=
  case $v in *-dirty) dirty=+dirty v=${v%-dirty} ;; esac
  case $v in
    v[0-9]*-*-g*) printf '%s+%s%s' "$(sed -E 's/^v(.*)-([0-9]+)-(g[0-9a-f]+)$/\1/; s/-/~/g' <<<"$v")" "$(sed -E 's/^.*-([0-9]+)-(g[0-9a-f]+)$/\1.\2/' <<<"$v")" "$dirty" ;;
    v[0-9]*) printf '%s%s' "$(sed 's/^v//; s/-/~/g' <<<"$v")" "$dirty" ;;
    *) printf '0~%s.%s%s' "$(date -u -d "@$SOURCE_DATE_EPOCH" +%Y%m%d)" "$v" "$dirty" ;;
  esac
}

if [ "${1:-}" = --version ]; then # for the test
  debian_version "$2"
  exit
fi

version=$(debian_version "${1:?the version}")
arch=$(go env GOARCH)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
umask 022
root=$work/root
mkdir "$root"

# As make build does it, but without symbols, which stacks and profiles do not need.
build() { CGO_ENABLED=0 GOARCH=$1 go build -trimpath -buildvcs=false -ldflags "-s -w -X main.version=$version" -o "$2" ./cmd/sluice; }
if [ -n "${SLUICE:-}" ]; then
  cp "$SLUICE" "$work/sluice"
else
  build "$arch" "$work/sluice"
fi
SLUICE=$work/sluice
if [ "$arch" != "$(go env GOHOSTARCH)" ]; then
  build "$(go env GOHOSTARCH)" "$work/native" # it writes the manual
  SLUICE=$work/native
fi
export SLUICE
DESTDIR=$root PREFIX=/usr scripts/install.sh install >/dev/null
install -m 755 "$work/sluice" "$root/usr/bin/sluice"
doc=$root/usr/share/doc/sluice
install -m 644 deploy/debian/copyright "$doc/copyright"
install -D -m 644 deploy/debian/lintian-overrides "$root/usr/share/lintian/overrides/sluice"
{
  printf 'sluice (%s) unstable; urgency=medium\n\n' "$version"
  printf '  * Changes are told at https://github.com/sluice-net/sluice/releases.\n\n'
  printf ' -- Sluice maintainers <maintainers@sluice.dev>  %s\n' "$(LC_ALL=C date -u -d "@$SOURCE_DATE_EPOCH" '+%a, %d %b %Y %H:%M:%S +0000')"
} | gzip -9n >"$doc/changelog.gz"
# Whoever gives the program away gives the licenses of the modules in it with it.
go list -deps -f '{{with .Module}}{{if not .Main}}{{.Path}} {{.Version}} {{.Dir}}{{end}}{{end}}' ./cmd/sluice | sort -u |
  while read -r module release dir; do
    for license in "$dir"/LICENSE* "$dir"/LICENCE* "$dir"/COPYING* "$dir"/NOTICE*; do
      [ -f "$license" ] || continue
      printf '==== %s %s: %s ====\n\n' "$module" "$release" "${license##*/}"
      cat "$license"
      printf '\n'
    done
  done | gzip -9n >"$doc/third-party-licenses.gz"
chmod 644 "$doc"/*.gz

mkdir -p "${2:-dist}"
out=${2:-dist}/sluice_${version}_$arch.deb # amd64, arm64, riscv64: Debian's names are the same
GOARCH='' go build -C tools -buildvcs=false -o "$work/mkdeb" ./mkdeb
"$work/mkdeb" -root "$root" -scripts deploy/debian -version "$version" -arch "$arch" -out "$out"
printf '%s\n' "$out"
