#!/usr/bin/env bash
# What Sluice does with frames made for the purpose, or with a capture of yours:
#
#   scripts/demo-replay.sh
#   make demo CAPTURE=traffic.pcap
#   make demo CAPTURE=traffic.pcap CONFIG=site.yaml
#
# Without CONFIG, a capture of yours gets a plain switch with a port for each of
# its busiest senders. Needs no privileges and touches no device.
set -euo pipefail
# shellcheck source=scripts/lib.sh
. "$(dirname "$0")/lib.sh"
need_go

# A path as the user gave it is relative to where make was called: the root.
config=${CONFIG:-examples/demo.yaml}
capture=${CAPTURE:-bin/demo.pcap}
results=bin/demo-results

[ -x bin/sluice ] || make build
mkdir -p bin
# As the Makefile builds sluice, so that what both need is compiled once.
CGO_ENABLED=0 go build -trimpath -buildvcs=false -o bin/demo ./internal/demo

# replay: shows the command and runs it. A capture that ends in the middle
# (status 4) has results all the same.
replay() {
  printf "\\n$ bin/sluice replay --config %s --in '*=%s' --out %s --quiet\\n" "$config" "$capture" "$results"
  rm -rf "$results"
  local status=0
  bin/sluice replay --config "$config" --in "*=$capture" --out "$results" --quiet || status=$?
  if [ "$status" -ne 0 ] && [ ! -f "$results/report.json" ]; then exit "$status"; fi
}

files() {
  printf '\nWhat sluice wrote is in %s: flows.jsonl, drops.jsonl, report.json, and for each port\n' "$results"
  printf 'the frames that left it, as a capture.\n'
}

if [ -z "${CAPTURE:-}" ]; then
  bin/demo capture "$capture"
elif [ -z "${CONFIG:-}" ]; then
  config=bin/demo.yaml
  bin/demo configure "$capture" >"$config"
  printf 'A plain switch for this capture has been written to %s. Edit it, and run\n' "$config"
  printf '  make demo CAPTURE=%s CONFIG=%s\n' "$capture" "$config"
fi

if [ -n "${CAPTURE:-}${CONFIG:-}" ]; then
  replay
  bin/demo summary "$config" "$results"
  files
  exit
fi

cat <<'TEXT'
This is the switch that examples/demo.yaml describes:

TEXT
bin/demo topology "$config"
cat <<'TEXT'

Frames from its ports are in bin/demo.pcap, one capture for all. Sluice takes them in the order
of their time stamps, each by the port that owns its source MAC address:
TEXT
replay
cat <<'TEXT'

Below is what became of each frame. On the left is the port it came in by, on the right the one
it left by. "sluice" on the right: it was meant for the switch itself, or has to wait. "sluice" on
the left: the switch made it, or it has waited. MAC addresses are shown as their owners' names,
and those that follow from the IP address are left out.
TEXT
bin/demo scenes "$config" "$results"
files
cat <<'TEXT'

Try next:
  tcpdump -ner bin/demo-results/uplink.pcap        what left by the uplink, to an independent eye
  bin/sluice bench                                 how fast the same pipeline is, in memory
  make demo CAPTURE=traffic.pcap                   your own traffic
TEXT
