package node_test

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-net/sluice/packet"
)

// What is taken for a session is given back when it ends, and when it is not made after all: because a rule of the sender's
// or the receiver's port refuses it, the neighbour does not answer, the client has too many sessions, or the
// server or the pool of sources is full.
func TestWhatIsTakenIsGivenBack(t *testing.T) {
	const more = `---
{apiVersion: sluice.dev/v1, kind: NodeConfig, metadata: {name: node}, spec: {limits: {sessions: 1024, sessionsPerSource: 100}}}
---
{apiVersion: sluice.dev/v1, kind: IPPool, metadata: {name: one}, spec: {usage: snat, ranges: [{start: 192.0.2.100, end: 192.0.2.100}]}}
---
{apiVersion: sluice.dev/v1, kind: NATRule, metadata: {name: out}, spec: {action: SNAT, sourceNetworks: [10.244.0.0/16], translatedPool: one, priority: 10}}
---
{apiVersion: sluice.dev/v1, kind: VirtualServer, metadata: {name: near}, spec: {addresses: [172.30.0.1], protocol: UDP, ports: ['80'], pool: near, maxConcurrentConnections: 30}}
---
{apiVersion: sluice.dev/v1, kind: Pool, metadata: {name: near}, spec: {algorithm: LEAST_CONNECTION, members: [{address: 10.244.2.1}, {address: 10.244.2.2, maxConcurrentConnections: 10}]}}
---
{apiVersion: sluice.dev/v1, kind: VirtualServer, metadata: {name: mapped}, spec: {addresses: [172.30.0.2], protocol: UDP, ports: ['80'], pool: mapped}}
---
{apiVersion: sluice.dev/v1, kind: Pool, metadata: {name: mapped}, spec: {snatTranslation: {type: AUTOMAP}, members: [{address: 10.244.2.1}, {address: 10.244.2.2}]}}
---
{apiVersion: sluice.dev/v1, kind: VirtualServer, metadata: {name: egress}, spec: {addresses: [172.30.0.3], protocol: UDP, ports: ['80'], pool: egress}}
---
{apiVersion: sluice.dev/v1, kind: Pool, metadata: {name: egress}, spec: {members: [{address: 10.244.2.3}]}}
---
{apiVersion: sluice.dev/v1, kind: VirtualServer, metadata: {name: ingress}, spec: {addresses: [172.30.0.4], protocol: UDP, ports: ['80'], pool: ingress}}
---
{apiVersion: sluice.dev/v1, kind: Pool, metadata: {name: ingress}, spec: {snatTranslation: {type: AUTOMAP}, members: [{address: 10.244.2.4}]}}
---
{apiVersion: sluice.dev/v1, kind: VirtualServer, metadata: {name: silent}, spec: {addresses: [172.30.0.5], protocol: UDP, ports: ['80'], pool: silent}}
---
{apiVersion: sluice.dev/v1, kind: Pool, metadata: {name: silent}, spec: {snatTranslation: {type: AUTOMAP}, members: [{address: 10.244.3.3}]}}
---
{apiVersion: sluice.dev/v1, kind: VirtualServer, metadata: {name: far}, spec: {addresses: [172.30.0.6], protocol: UDP, ports: ['80'], pool: far}}
---
{apiVersion: sluice.dev/v1, kind: Pool, metadata: {name: far}, spec: {members: [{address: 198.51.100.7}]}}
---
apiVersion: sluice.dev/v1
kind: SecurityPolicy
metadata: {name: no}
spec:
  rules:
    - {name: out, action: DROP, direction: OUT, destinationGroups: [10.244.2.3/32]}
    - {name: in, action: REJECT, direction: IN, destinationGroups: [10.244.2.4/32]}
`
	for _, workers := range []int{1, 2} {
		t.Run(fmt.Sprintf("workers=%d", workers), func(t *testing.T) {
			x := newServers(t, workers, more)
			r := rand.New(rand.NewPCG(1, uint64(workers)))
			steps := 8000
			if testing.Short() {
				steps = 2500
			}
			for i := range steps {
				x.now += int64(time.Millisecond)
				vip := 1 + r.IntN(7) // the last one is nobody's
				to := fmt.Sprintf("172.30.0.%d:80", vip)
				if r.IntN(5) == 0 {
					to = fmt.Sprintf("198.51.100.%d:53", 1+r.IntN(9))
				}
				if r.IntN(20) == 0 { // there is an address for one of the clients, and no port for the others
					x.inject("c", fmt.Sprintf("ip 10.244.1.%d > 198.51.100.20 proto 99 eth %s > %s", 1+r.IntN(3), clientText, gatewayText))
				}
				x.inject("c", fmt.Sprintf("udp 10.244.1.%d:%d > %s eth %s > %s", 1+r.IntN(3), 1024+r.IntN(900), to, clientText, gatewayText))
				if r.IntN(3) != 0 {
					x.turn(1) // else several come in one vector
				}
				if i%2000 == 1999 {
					x.now += int64(10 * time.Minute)
					x.turn(3)
				}
				if i%64 == 0 { // who asks is answered
					x.inject("uplink", "arp 192.0.2.254 is-at 0a:58:c0:00:02:fe to 192.0.2.1 eth 0a:58:c0:00:02:fe > 0a:58:c0:00:02:01")
					x.sent()
				}
			}
			for range 30 {
				x.now += int64(time.Hour)
				x.turn(2)
				x.sent()
			}
			var dropped [packet.NumReasons]uint64
			for _, p := range x.model.Ports {
				for reason, n := range x.node.Engine().PortCounters(p.Number).Drops {
					dropped[reason] += n
				}
			}
			for _, reason := range []packet.Reason{
				packet.PolicyDenied, packet.PolicyRejected, packet.ServiceLimit, packet.SourceLimit,
				packet.NeighborUnresolved, packet.NATExhausted,
			} {
				require.Positive(t, dropped[reason], "%s; there were %v", reason, dropped)
			}
			requireNothingInUse(x)
		})
	}
}

// shares counts which members new connections come to, without a virtual server that keeps them.
func shares(x *servers, n int, line func(i int) string) (count [serverMembers]int) {
	for i := range n {
		x.inject("c", line(i))
		if i%64 != 63 && i != n-1 {
			continue
		}
		x.turn(1)
		for _, in := range x.sent()["m"] {
			a := in.Key.Dst.Netip().As4()
			count[int(a[3])-1]++
		}
	}
	return count
}

// Weights are honoured within one per cent, through the whole pipeline: of turns, of connections that stay, and, within what
// chance allows, of hashes.
func TestWeightsAreHonoured(t *testing.T) {
	n := 100_000
	if testing.Short() {
		n = 10_000
	}
	weights := []int{1, 2, 3, 4}
	for _, row := range []struct {
		algorithm string
		bound     float64 // of a member's share, relative
	}{
		{"WEIGHTED_ROUND_ROBIN", .01},
		{"WEIGHTED_LEAST_CONNECTION", .01},
		// Shares of the table are within 1 %, and the deviation of a binomial share of a tenth is 3 per mille of 100,000:
		// four of them, or of 10,000 three times as much.
		{"TUPLE_HASH", .01 + 4*.0095*316/float64(isqrt(n))},
		{"MAGLEV", .01 + 4*.0095*316/float64(isqrt(n))},
	} {
		t.Run(row.algorithm, func(t *testing.T) {
			members := ""
			for i, w := range weights {
				members += fmt.Sprintf("{address: %s, weight: %d}, ", serverMember(i), w)
			}
			x := newServers(t, 2, fmt.Sprintf(`---
{apiVersion: sluice.dev/v1, kind: NodeConfig, metadata: {name: node}, spec: {limits: {sessions: 131072}}}
---
{apiVersion: sluice.dev/v1, kind: VirtualServer, metadata: {name: v}, spec: {addresses: [172.30.0.1], protocol: UDP, ports: ['1-65535'], pool: p}}
---
{apiVersion: sluice.dev/v1, kind: Pool, metadata: {name: p}, spec: {algorithm: %s, members: [%s]}}
`, row.algorithm, members))
			count := shares(x, n, func(i int) string {
				return fmt.Sprintf("udp 10.244.1.1:%d > 172.30.0.1:%d eth %s > %s", 1024+i%50000, 80+i/50000, clientText, gatewayText)
			})
			sum := 0
			for i, w := range weights {
				sum += count[i]
				require.InEpsilon(t, float64(n*w)/10, count[i], row.bound, "member %d of weight %d: %v", i, w, count)
			}
			require.Equal(t, n, sum, "each connection came to a member")
		})
	}
}

func isqrt(n int) (r int) {
	for (r+1)*(r+1) <= n {
		r++
	}
	return r
}
