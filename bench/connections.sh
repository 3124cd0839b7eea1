#!/usr/bin/env bash
# Connections per second through a load balancer, one request each: this switch, nftables' DNAT and HAProxy in TCP mode,
# side by side, in turns, and the same client straight to a server. Writes rows to bench/load-balancing.md with --record.
#
#	client ── veth ── balancer's namespace ── veth ── server 1
#	 wrk                sluice | nft | haproxy  └─ veth ── server 2
#
# usage: bench/connections.sh [--rounds N] [--seconds S] [--connections N] [--record]
# Needs root, wrk, haproxy and nft (make setup). Makes namespaces sluice-cps-* and removes them.
set -euo pipefail
cd "$(dirname "$0")/.."
# shellcheck source=scripts/bench-facts.sh
. scripts/bench-facts.sh
rounds=5 seconds=5 connections=32 record=
while [ $# -gt 0 ]; do
  case $1 in
    --rounds) rounds=$2; shift ;;
    --seconds) seconds=$2; shift ;;
    --connections) connections=$2; shift ;;
    --record) record=yes ;;
    *) sed -n 's/^# \?//p' "$0" | sed -n 2,12p; exit 2 ;;
  esac
  shift
done
[ "$(id -u)" -eq 0 ] || { echo "connections: network namespaces take root" >&2; exit 1; }
for program in wrk haproxy nft; do
  command -v "$program" >/dev/null || { echo "connections: $program is missing: make setup" >&2; exit 1; }
done

work=$(mktemp -d)
prefix=sluice-cps-$$
pids=() balancer=
stop() {
  [ -z "$balancer" ] || { kill "$balancer" 2>/dev/null || true; wait "$balancer" 2>/dev/null || true; balancer=; }
}
cleanup() {
  stop
  for pid in "${pids[@]}"; do kill "$pid" 2>/dev/null || true; done
  wait 2>/dev/null || true
  for ns in client lb s1 s2; do ip netns del "$prefix-$ns" 2>/dev/null || true; done
  rm -rf "$work"
}
trap cleanup EXIT

CGO_ENABLED=0 go build -buildvcs=false -o "$work/sluice" ./cmd/sluice

in_ns() { local ns=$1; shift; ip netns exec "$prefix-$ns" "$@"; }
# behind NAMESPACE PROGRAM...: runs it in the background, as process $behind.
behind() {
  local ns=$1
  shift
  ip netns exec "$prefix-$ns" "$@" >"$work/$ns.log" 2>&1 &
  behind=$!
}

for ns in client lb s1 s2; do
  ip netns add "$prefix-$ns"
  in_ns "$ns" ip link set lo up
done
# wire NAMESPACE ADDRESS GATEWAY: a veth to the balancer's namespace, where its end is called as the namespace.
wire() {
  in_ns "$1" ip link add eth0 type veth peer name "$1" netns "$prefix-lb"
  in_ns "$1" ip addr add "$2" dev eth0
  in_ns "$1" ip link set eth0 up
  in_ns "$1" ip route add default via "$3"
  in_ns lb ip link set "$1" up
}
wire client 10.9.0.2/24 10.9.0.1
wire s1 10.9.1.2/24 10.9.1.1
wire s2 10.9.2.2/24 10.9.2.1
# Ports of connections that are over are wanted again at once.
in_ns client sysctl -qw net.ipv4.ip_local_port_range="1024 65535" net.ipv4.tcp_tw_reuse=1

cat >"$work/server.cfg" <<EOF
global
  nbthread 1
defaults
  mode http
  timeout client 10s
  timeout http-request 10s
frontend answer
  bind :80
  http-request return status 200 content-type text/plain string hello
EOF
for s in s1 s2; do
  behind "$s" haproxy -db -f "$work/server.cfg"
  pids+=("$behind")
done

# The routers' addresses, which the balancers that are the kernel's need and sluice has itself.
kernel_router() {
  local verb=$1
  in_ns lb sysctl -qw net.ipv4.ip_forward=$([ "$verb" = add ] && echo 1 || echo 0)
  local i=0
  for link in client s1 s2; do
    in_ns lb ip addr "$verb" 10.9.$i.1/24 dev $link
    i=$((i + 1))
  done
}

start_straight() { kernel_router add; }
stop_straight() { kernel_router del; }

start_nftables() {
  kernel_router add
  in_ns lb nft -f - <<EOF
table ip cps {
  chain in {
    type nat hook prerouting priority dstnat;
    ip daddr 172.30.0.1 tcp dport 80 dnat to numgen inc mod 2 map { 0 : 10.9.1.2, 1 : 10.9.2.2 }
  }
}
EOF
}
stop_nftables() { in_ns lb nft delete table ip cps; kernel_router del; }

cat >"$work/tcp.cfg" <<EOF
global
  nbthread 1
  maxconn 4000
defaults
  mode tcp
  timeout client 10s
  timeout server 10s
  timeout connect 5s
listen web
  bind 172.30.0.1:80
  balance roundrobin
  server s1 10.9.1.2:80
  server s2 10.9.2.2:80
EOF
start_haproxy() {
  kernel_router add
  in_ns lb ip addr add 172.30.0.1/32 dev lo
  in_ns lb sysctl -qw net.ipv4.ip_local_port_range="1024 65535" net.ipv4.tcp_tw_reuse=1
  behind lb haproxy -db -f "$work/tcp.cfg"
  balancer=$behind
}
stop_haproxy() { stop; in_ns lb ip addr del 172.30.0.1/32 dev lo; kernel_router del; }

{
  for i in 0 1 2; do
    link=$(printf '%s\n' client s1 s2 | sed -n $((i + 1))p)
    cat <<EOF
---
{apiVersion: sluice.dev/v1, kind: Segment, metadata: {name: n$i}, spec: {subnets: [{cidr: 10.9.$i.0/24}]}}
---
apiVersion: sluice.dev/v1
kind: Port
metadata: {name: $link}
spec:
  segment: n$i
  addresses: [{ip: 10.9.$i.2, mac: '$(in_ns "$link" cat /sys/class/net/eth0/address)'}]
  device: {type: afpacket, name: $link}
EOF
  done
  cat <<EOF
---
{apiVersion: v1, kind: Service, metadata: {name: web}, spec: {clusterIP: 172.30.0.1, ports: [{port: 80}]}}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: web, labels: {kubernetes.io/service-name: web}}
addressType: IPv4
ports: [{port: 80}]
endpoints: [{addresses: [10.9.1.2]}, {addresses: [10.9.2.2]}]
EOF
} >"$work/sluice.yaml"
start_sluice() {
  behind lb "$work/sluice" run --config "$work/sluice.yaml" --state "$work/state" --api "unix:$work/api"
  balancer=$behind
}
stop_sluice() { stop; rm -rf "$work/state"; }

target() { [ "$1" = straight ] && echo 10.9.1.2 || echo 172.30.0.1; }

ready() {
  for _ in $(seq 100); do
    in_ns client curl -sf -m 1 -o /dev/null "http://$(target "$1")/" && return
    sleep 0.1
  done
  echo "connections: no answer through $1" >&2
  cat "$work/lb.log" >&2
  exit 1
}

measure() {
  "start_$1"
  # The router has another MAC address with each balancer.
  for ns in client s1 s2; do in_ns "$ns" ip neigh flush dev eth0; done
  ready "$1"
  in_ns client wrk -t1 -c"$connections" -d"${seconds}s" -H 'Connection: close' "http://$(target "$1")/" >"$work/wrk"
  "stop_$1"
  awk '/Requests\/sec/ { print $2 }' "$work/wrk" >>"$work/of-$1"
  errors=$(awk '/Socket errors|Non-2xx/' "$work/wrk")
  printf '%-10s round %d  %9.0f per second %s\n' "$1" "$round" "$(tail -n1 "$work/of-$1")" "$errors"
}

ways="straight nftables haproxy sluice"
for round in $(seq "$rounds"); do
  for way in $ways; do measure "$way"; done
done

median() { sort -n "$1" | awk '{ v[NR] = $1 } END { print v[int((NR + 1) / 2)] }'; }
{
  echo
  echo "| connections per second, one request each | median of $rounds | of nftables' |"
  echo "|---|---|---|"
  for way in $ways; do
    awk -v way="$way" -v n="$(median "$work/of-$way")" -v nft="$(median "$work/of-nftables")" \
      'BEGIN { printf "| %s | %d | %.2f |\n", way, n, n / nft }'
  done
} | tee "$work/table"
if [ -n "$record" ]; then
  {
    printf '\n### %s, %d connections at a time, rounds of %d s\n\n' "$(date -u +%Y-%m-%d)" "$connections" "$seconds"
    facts
    cat "$work/table"
  } >>bench/load-balancing.md
fi
