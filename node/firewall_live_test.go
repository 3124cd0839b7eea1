package node_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-net/sluice/control"
	"github.com/sluice-net/sluice/dataplane"
	"github.com/sluice-net/sluice/firewall/policy"
	"github.com/sluice-net/sluice/internal/frametext"
	"github.com/sluice-net/sluice/node"
	"github.com/sluice-net/sluice/packet"
	"github.com/sluice-net/sluice/port/mem"
)

// policyOfManyRevisions lets UDP to port 53 pass and refuses the rest, with other rules around that change each time.
func policyOfManyRevisions(revision int) string {
	var b strings.Builder
	b.WriteString(`
apiVersion: v1
kind: List
items:
- {apiVersion: sluice.dev/v1, kind: NodeConfig, metadata: {name: node}, spec: {defaultRule: {action: DROP}, limits: {sessions: 4096}}}
- {apiVersion: sluice.dev/v1, kind: Segment, metadata: {name: s}, spec: {router: none}}
- {apiVersion: sluice.dev/v1, kind: Port, metadata: {name: a}, spec: {segment: s, addresses: [{ip: 10.0.0.1}]}}
- {apiVersion: sluice.dev/v1, kind: Port, metadata: {name: b}, spec: {segment: s, addresses: [{ip: 10.0.0.2}]}}
- apiVersion: sluice.dev/v1
  kind: SecurityPolicy
  metadata: {name: p}
  spec:
    rules:
`)
	for i := range revision % 7 {
		fmt.Fprintf(&b, "    - {name: before%d, action: DROP, serviceEntries: [{l4Protocol: UDP, destinationPorts: ['%d']}]}\n", i, 1000+revision+i)
	}
	b.WriteString("    - {name: dns, serviceEntries: [{l4Protocol: UDP, destinationPorts: ['53']}]}\n")
	for i := range revision % 5 {
		fmt.Fprintf(&b, "    - {name: after%d, sourceGroups: [10.9.%d.0/24]}\n", i, revision%250)
	}
	return b.String()
}

// A hundred policies are published while two workers forward what all of them allow and drop what none does: no packet
// of the one is lost, none of the other passes, and the rules' counters have all of them.
func TestPoliciesChangeUnderTraffic(t *testing.T) {
	const flows = 50
	var frames [][]byte
	for i := range flows {
		for _, port := range []int{53, 54} {
			frame, err := frametext.Parse(fmt.Sprintf("udp 10.0.0.1:%d > 10.0.0.2:%d", 1000+i, port))
			require.NoError(t, err)
			frames = append(frames, frame)
		}
	}
	const workers = 2
	source, err := mem.NewGenerator(mem.GeneratorConfig{Frames: frames, Queues: workers, Seed: 1})
	require.NoError(t, err)
	defer source.Close()
	sink := mem.NewSink(workers)

	var previous *control.Model
	compile := func(revision int) *control.Model {
		objects, faults := control.Decode("site.yaml", []byte(policyOfManyRevisions(revision)), control.Options{})
		require.Empty(t, faults)
		in := control.Input{Objects: objects, Revision: uint64(revision)}
		if previous != nil {
			in.Previous = &previous.Allocations
		}
		m, faults := control.Compile(in)
		require.Empty(t, faults)
		previous = m
		return m
	}
	n, err := node.New(node.Options{
		Workers: workers, Seed: 1, Buffers: 4096, Supers: 1,
		Open: func(_ *packet.Arena, p *control.Port) (dataplane.Port, error) {
			if p.Name == "a" {
				return source, nil
			}
			return sink, nil
		},
	}, compile(1))
	require.NoError(t, err)
	defer func() { require.NoError(t, n.Close()) }()
	require.NoError(t, n.Start(dataplane.DefaultIdle, 0))
	revisions := 100
	if testing.Short() {
		revisions = 30
	}
	for revision := 2; revision <= revisions; revision++ {
		require.NoError(t, n.Apply(compile(revision)))
		time.Sleep(time.Millisecond) // some packets under each
	}
	n.Engine().Stop()

	m := previous
	a := n.Engine().PortCounters(number(t, n, "a"))
	var dropped uint64
	for reason, count := range a.Drops {
		if count != 0 {
			require.Equal(t, packet.PolicyDenied, packet.Reason(reason))
			dropped = count
		}
	}
	require.Positive(t, dropped)
	require.Positive(t, sink.Sent())
	require.Equal(t, a.RxPackets, dropped+sink.Sent())
	require.Zero(t, n.Engine().Ledger().Unexplained)
	// Each frame is one of the flows, in turns: what passed is what may.
	require.InDelta(t, .5, float64(dropped)/float64(a.RxPackets), .1)

	counts, dns := n.Rules(), uint32(0)
	for _, s := range m.Firewall.Sections {
		for i := range s.Rules {
			if s.Rules[i].Name == "dns" {
				dns = s.Rules[i].ID
			}
		}
	}
	require.Equal(t, sink.Sent(), counts[dns].Packets)
	require.EqualValues(t, flows, counts[dns].Sessions, "no session was lost, and begun again")
	require.Equal(t, dropped, counts[policy.DefaultRuleID].Packets)
	require.Equal(t, flows, n.Engine().Table().Stats().Live)
}
