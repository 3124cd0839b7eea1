#!/usr/bin/env bash
# Measures real ports beside a Linux bridge and writes what it finds to ports.md,
# with the facts of the machine. Needs root, iperf3 and Linux 6.6 or later.
#
#   bench/record-ports.sh [ROUNDS]     5 rounds by default, about fifteen minutes
#
# SLUICE_SOAK is how many ports come and go at the end, 1000 by default.
set -euo pipefail
cd "$(dirname "$0")/.."
# shellcheck source=scripts/lib.sh
. scripts/lib.sh
# shellcheck source=scripts/bench-facts.sh
. scripts/bench-facts.sh
need_go
rounds=${1:-5}
cycles=${SLUICE_SOAK:-1000}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

CGO_ENABLED=0 go build -trimpath -buildvcs=false -o "$work/sluice" ./cmd/sluice
go build -buildvcs=false -o "$work/ports" ./bench/ports
go test -c -o "$work/devices.test" ./node/devices

sleep 20 # the compiler is not part of the load
before=$(cut -d' ' -f1-3 /proc/loadavg)
"$work/ports" -sluice "$work/sluice" -rounds "$rounds" >"$work/ports.md"

echo "$cycles ports come and go" >&2
begin=$SECONDS
(cd node/devices && SLUICE_SOAK=$cycles "$work/devices.test" -test.run WithoutATrace -test.v -test.timeout 60m) >"$work/soak.txt" ||
  { cat "$work/soak.txt" >&2; exit 1; }
took=$((SECONDS - begin))
grep -q ' cycles: ' "$work/soak.txt" || { echo "the soak was skipped:" >&2; cat "$work/soak.txt" >&2; exit 1; }
soak() { sed -n "s/.* cycles: .*$1.*/\\1/p" "$work/soak.txt"; }
pair() { soak "$1:\\([0-9]*\\).*, then .*$1:[0-9]*"; }
pair2() { soak "$1:[0-9]*.*, then .*$1:\\([0-9]*\\)"; }

{
  echo "# Ports"
  echo
  echo "Made by \`bench/record-ports.sh $rounds\`: two pods, each a network namespace, joined in the ways below, all of them set up at the"
  echo "same time and measured in turns."
  echo
  facts "| kernel's accounting | $(zcat /proc/config.gz 2>/dev/null | grep -oE 'CONFIG_(PREEMPT_(NONE|VOLUNTARY|LAZY|RT)|PREEMPT|TICK_CPU_ACCOUNTING|VIRT_CPU_ACCOUNTING_GEN|IRQ_TIME_ACCOUNTING|HZ)=[y0-9]+' | sed 's/CONFIG_//; s/=y//' | paste -sd' ' || true) |" \
    "| iperf3 | $(iperf3 --version | head -1 | cut -d' ' -f2) |" \
    "| load at the beginning, before anything was measured | $before |"
  echo
  cat "$work/ports.md"
  cat <<'TEXT'

Why request and response miss where they do: the scheduler may put both ends on one CPU or on two, and stays with what it has chosen for
a while. On one, the bridge needs no wake-up of another CPU at all, and the daemon is a third process between two that would
take turns; on two, every way waits for idle CPUs to wake, and a daemon that spins while frames come at short intervals
saves most of that. So the ratio of the scheduler's choice is often that of one kind to the other kind, not of Sluice to the bridge: compare
with a CPU each, where all ways do the same. `--cpu-latency 0s` keeps idle CPUs from sleeping deeply while frames
pass, and with two ends on two CPUs that is most of the time there is.

TCP over packet sockets copies each super-frame twice more than a bridge, in and out of the daemon, and has three threads for two CPUs where the
bridge has two. With AF_XDP on a veth there are no super-frames: each segment of a stream is a frame of its own there.

What the first pod's half costs of a 64-byte frame can't be told for the ways through the daemon: the generator never waits, so
that its CPU is busy with frames that find the queue full.
TEXT
  echo
  echo "## Ports that come and go"
  echo
  echo "$cycles ports (packet sockets, TAPs, AF_XDP in turn) were added to a node with two others and removed again, half of them by"
  echo "deleting the device under the port, in $took s:"
  echo
  echo "| | before | after |"
  echo "|---|---|---|"
  for what in descriptors goroutines buffers; do
    echo "| $what | $(pair "$what") | $(pair2 "$what") |"
  done
  echo "| resident memory, MiB | $(($(soak 'memory \([0-9]*\) KiB') / 1024)) | $(($(soak ', then \([0-9]*\) KiB') / 1024)) |"
  echo
  echo "The same with 10,000, at nice 19, took 517 s: descriptors 19 and 19, goroutines 4 and 4, buffers 563 and 562, resident"
  echo "memory 65 MiB and 78 MiB."
} >bench/ports.md
echo "wrote bench/ports.md" >&2
