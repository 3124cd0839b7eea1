#!/usr/bin/env bash
# Sluice at work on real traffic: a lab of network namespaces, programs in
# them, and the switch between. It touches nothing of the machine's own network, and
# takes everything down again. Where that is not allowed, or for a capture of yours:
#
#   make demo CAPTURE=traffic.pcap [CONFIG=site.yaml]
set -euo pipefail
# shellcheck source=scripts/lib.sh
. "$(dirname "$0")/lib.sh"
need_go

if [ -n "${CAPTURE:-}${CONFIG:-}" ]; then
  exec scripts/demo-replay.sh
fi

why_not=
if [ "$(id -u)" -ne 0 ]; then
  why_not='making network namespaces needs root'
elif ! unshare --net true 2>/dev/null; then
  why_not='network namespaces are not allowed here'
else
  for program in ip ping curl iperf3; do
    command -v "$program" >/dev/null || why_not="$program is missing (make setup installs it)"
  done
fi
if [ -n "$why_not" ]; then
  printf 'The demo on real traffic is left out: %s.\n' "$why_not"
  printf 'This is the one without it, on frames made for the purpose.\n\n'
  exec scripts/demo-replay.sh
fi

[ -x bin/sluice ] || make build
cat <<'TEXT'
Real traffic through Sluice. Pods are network namespaces with programs in them; between them is
nothing but one process, "sluice run". Each line below is a step with its verdict; under it, after
"POD $", the command and what it printed. It takes about ten seconds.

TEXT
bin/sluice lab run -v demo
cat <<'TEXT'

Try next:
  bin/sluice lab list                              more of these, each a file in lab/scenarios
  bin/sluice lab up demo                           the same pods, left running for you to enter
  bin/sluice doctor                                what this machine offers, and what it lacks
  make demo CAPTURE=traffic.pcap                   what the switch would do with a capture of yours
  scripts/demo-replay.sh                           ten scenes of frames, each with its reason
TEXT
