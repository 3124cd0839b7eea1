# Facts of the machine, without which a figure means nothing; sourced, never run.
# shellcheck shell=bash

# facts [ROWS]: a table in Markdown. ROWS are more lines of it, "| fact | value |".
facts() {
  echo "| fact | value |"
  echo "|---|---|"
  echo "| date | $(date -u +%F) |"
  echo "| revision | $(git rev-parse --short HEAD 2>/dev/null || echo unknown) |"
  echo "| processor | $(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | head -1), family $(sed -n 's/^cpu family[^:]*: //p' /proc/cpuinfo | head -1) model $(sed -n 's/^model[ \t]*: //p' /proc/cpuinfo | head -1) |"
  echo "| CPUs | $(nproc)$(grep -q '^flags.* hypervisor' /proc/cpuinfo && echo ', virtual') |"
  echo "| caches | $(lscpu 2>/dev/null | awk -F': *' '/^L[123]/ {printf "%s%s %s", s, $1, $2; s=", "}') |"
  echo "| memory | $(awk '/MemTotal/ {print int($2/1048576)}' /proc/meminfo) GiB; transparent huge pages: $(sed 's/.*\[\(.*\)\].*/\1/' /sys/kernel/mm/transparent_hugepage/enabled) |"
  echo "| kernel | $(uname -r) |"
  echo "| Go | $(go env GOVERSION), GOAMD64=$(go env GOAMD64) |"
  [ $# -eq 0 ] || printf '%s\n' "$@"
  echo "| load at the end | $(cut -d' ' -f1-3 /proc/loadavg) |"
}
