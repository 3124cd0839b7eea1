#!/usr/bin/env bash
# Measures the switch and writes what it finds to results.md, with the facts of
# the machine. Rounds are interleaved, and medians are quoted, because machines are shared.
#
#   bench/record.sh [ROUNDS]     5 rounds by default, about ten minutes
set -euo pipefail
cd "$(dirname "$0")/.."
# shellcheck source=scripts/bench-facts.sh
. scripts/bench-facts.sh
rounds=${1:-5}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
CGO_ENABLED=0 go build -trimpath -o "$work/sluice" ./cmd/sluice

# field FILE NAME: the median of a figure over all lines of results.
field() {
  grep -o "\"$2\":[0-9.e+-]*" "$1" | cut -d: -f2 | sort -g | awk '{v[NR]=$1} END {x = v[int((NR+1)/2)]; printf x < 1000 ? "%.1f" : "%d", x}'
}

measure() { # NAME ARGS…
  local name=$1
  shift
  "$work/sluice" bench "$@" -o json >>"$work/$name.json"
}

flows="1 1000 100000 1000000"
for round in $(seq "$rounds"); do
  echo "round $round of $rounds" >&2
  for f in $flows; do
    for features in l2 l3 l2,l3; do
      measure "$features-$f-1" --features "$features" --flows "$f" --duration 1s
    done
    [ "$f" = 1 ] || measure "l2,l3-$f-2" --flows "$f" --workers 2 --duration 1s
  done
  for bytes in 128 512 1514; do
    measure "frame-$bytes" --flows 1000 --frame "$bytes" --duration 1s
  done
  measure new-1 --flows 500000 --new
  for f in 1000 1000000; do
    measure "stages-$f" --flows "$f" --stages --duration 1s
  done
  go test ./bench -run '^$' -bench PortsOnly -benchtime 1s | awk '/^BenchmarkPortsOnly/ {print "{\"ns\":" $3 "}"}' >>"$work/ports.json"
done

echo "flow table, up to 10 million flows" >&2
go test ./flowtable -run '^$' -bench '^Benchmark(Hit|Miss|Insert|Delete|Expire)$' -benchtime 300ms -timeout 30m >"$work/flowtable.txt"

{
  echo "# Results"
  echo
  echo "Made by \`bench/record.sh $rounds\`; medians of $rounds interleaved rounds of one second each. CPU time is that of the"
  echo "workers' threads (getrusage), user and system. Receiving copies the frame into a buffer and sending frees it;"
  echo "that alone costs $(field "$work/ports.json" ns) ns, the floor of every figure."
  echo
  facts
  echo
  echo "## 64-byte frames, one worker: CPU ns per packet"
  echo
  echo "| flows | l2 | l3 | l2,l3 mixed |"
  echo "|---|---|---|---|"
  for f in $flows; do
    echo "| $f | $(field "$work/l2-$f-1.json" cpuNsPerPacket) | $(field "$work/l3-$f-1.json" cpuNsPerPacket) | $(field "$work/l2,l3-$f-1.json" cpuNsPerPacket) |"
  done
  echo
  echo "## Workers (l2,l3 mixed)"
  echo
  echo "The ratio by CPU time is what two workers would do on two processors of their own; that by time is what"
  echo "they did beside whatever else ran."
  echo
  echo "| flows | Mpps: 1 worker | 2 workers | ratio | CPU ns per packet: 1 worker | 2 workers | ratio by CPU time |"
  echo "|---|---|---|---|---|---|---|"
  for f in 1000 100000 1000000; do
    one=$work/l2,l3-$f-1.json two=$work/l2,l3-$f-2.json
    m1=$(field "$one" mpps) m2=$(field "$two" mpps) c1=$(field "$one" cpuNsPerPacket) c2=$(field "$two" cpuNsPerPacket)
    echo "| $f | $m1 | $m2 | $(awk "BEGIN {printf \"%.2f\", $m2/$m1}") | $c1 | $c2 | $(awk "BEGIN {printf \"%.2f\", 2*$c1/$c2}") |"
  done
  echo
  echo "## Frame sizes (l2,l3, 1,000 flows)"
  echo
  echo "| bytes | CPU ns per packet | Gbit/s, one worker |"
  echo "|---|---|---|"
  for bytes in 128 512 1514; do
    m=$(field "$work/frame-$bytes.json" mpps)
    echo "| $bytes | $(field "$work/frame-$bytes.json" cpuNsPerPacket) | $(awk "BEGIN {printf \"%.1f\", $m*$bytes*8/1000}") |"
  done
  echo
  echo "## Where the time goes, stage by stage: ns per packet (l2,l3)"
  echo
  echo "Wall time, with the clock read after each stage of each vector, which itself costs about 6 ns per packet in all."
  echo "\"receive, parse\" has the copy in it, \"send\" freeing the frames and the end of the worker's turn."
  echo
  echo "| stage | 1,000 flows | 1,000,000 flows |"
  echo "|---|---|---|"
  stage() { # FILE NAME: the median
    grep -o "{\"stage\":\"$2\",\"nsPerPacket\":[0-9.e+-]*" "$1" | sed 's/.*://' | sort -g | awk '{v[NR]=$1} END {printf "%.1f", v[int((NR+1)/2)]}'
  }
  grep -o '"stage":"[^"]*"' "$work/stages-1000.json" | cut -d'"' -f4 | awk '!seen[$0]++' | while read -r name; do
    echo "| $name | $(stage "$work/stages-1000.json" "$name") | $(stage "$work/stages-1000000.json" "$name") |"
  done
  echo
  echo "## The flow table by itself: ns per packet or session"
  echo
  echo "One run, time that passed. A hit is hash, lookup and count in vectors of 64, in random order; insert and delete make and end a"
  echo "session with both directions, delete with its record; the sweep is what expiry costs for each session there is."
  echo
  awk '
    /^Benchmark/ {
      parts = split($1, part, "/"); op = part[1]; sub("Benchmark", "", op); n = part[parts]; sub("flows=", "", n); sub(/-[0-9]+$/, "", n)
      if (parts == 3) op = part[2]
      for (i = 2; i < NF; i++) { if ($(i+1) == (parts == 3 ? "ns/session" : "ns/op")) ns[op, n] = $i; if ($(i+1) == "B/flow") bytes[n] = $i }
    }
    END {
      split("1 1000 100000 1000000 10000000", size, " ")
      print "| flows | hit | miss | insert | delete | sweep, none due | sweep, all due | bytes per flow |\n|---|---|---|---|---|---|---|---|"
      for (k = 1; k <= 5; k++) {
        n = size[k]
        line = "| " n
        split("Hit Miss Insert Delete nothing everything", ops, " ")
        for (j = 1; j <= 6; j++) line = line " | " (((ops[j], n) in ns) ? sprintf("%.1f", ns[ops[j], n]) : "–")
        print line " | " (n == 1 ? "–" : sprintf("%d", bytes[n])) " |"
      }
    }' "$work/flowtable.txt"
  echo
  echo "## First packets"
  echo
  echo "$(field "$work/new-1.json" newSessionsPerSecond) new sessions per second on one worker (500,000 flows; each is looked up, decided, its session"
  echo "made with both directions, and forwarded): $(field "$work/new-1.json" cpuNsPerPacket) CPU ns per packet."
  echo
  echo "## Vector latency (l2,l3, one worker)"
  echo
  echo "| flows | p50 | p99 |"
  echo "|---|---|---|"
  for f in $flows; do
    echo "| $f | $(field "$work/l2,l3-$f-1.json" p50) ns | $(field "$work/l2,l3-$f-1.json" p99) ns |"
  done
} >bench/results.md
echo "wrote bench/results.md" >&2
