package conformance

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluice-net/sluice/control"
	"github.com/sluice-net/sluice/firewall/classify"
	"github.com/sluice-net/sluice/firewall/policy"
	"github.com/sluice-net/sluice/internal/netpoltest"
	"github.com/sluice-net/sluice/packet"
)

// linear judges connections by the compiled policy alone, rule by rule, without a node: where packets
// disagree with the text of the API, it says whether the compiler or the engine does.
type linear struct {
	policy  *policy.Policy
	input   classify.Input
	numbers map[string]uint16
}

func newLinear(m *control.Model) *linear {
	j := &linear{policy: m.Firewall, numbers: map[string]uint16{}}
	for _, p := range m.Ports {
		j.numbers[p.Name] = p.Number
	}
	j.input = classify.Input{Endpoints: m.Firewall.Endpoints, Sets: m.Firewall.Sets, Tiers: make([][]*policy.Section, 2)}
	for _, s := range m.Firewall.Sections {
		switch s.Category {
		case policy.Emergency, policy.Infrastructure, policy.Environment:
			j.input.Tiers[0] = append(j.input.Tiers[0], s)
		case policy.Application:
			j.input.Tiers[1] = append(j.input.Tiers[1], s)
		}
	}
	return j
}

// allows reports whether the rules of both ends allow a connection.
func (j *linear) allows(x *netpoltest.Connection, id uint16) bool {
	return j.at(x.From, x, policy.Out, id) && j.at(x.To, x, policy.In, id)
}

func (j *linear) at(e netpoltest.End, x *netpoltest.Connection, d policy.Direction, id uint16) bool {
	if e.Pod == nil {
		return true
	}
	port := j.numbers[e.String()]
	p := classify.Packet{
		Port: port, Direction: d, Scope: j.policy.Endpoints[port].Scope,
		Src: packet.AddrFrom(x.From.Address), Dst: packet.AddrFrom(x.To.Address), SrcPort: id, DstPort: uint16(x.Port),
	}
	switch {
	case x.Protocol == "TCP":
		p.Protocol = packet.ProtoTCP
	case x.Protocol == "UDP":
		p.Protocol = packet.ProtoUDP
	case x.Protocol == "SCTP":
		p.Protocol = packet.ProtoSCTP
	case x.From.Address.Is6():
		p.Protocol, p.DstPort = packet.ProtoICMPv6, 128<<8
	default:
		p.Protocol, p.DstPort = packet.ProtoICMP, 8<<8
	}
	for tier := range j.input.Tiers {
		if m := classify.Linear(&j.input, tier, &p); m != nil && m.Rule.Action != policy.JumpToApplication {
			return m.Rule.Action == policy.Allow
		}
	}
	return j.policy.Default.Action == policy.Allow
}

// compare holds the whole node against the text of the APIs, for the probes given: both judges have to say
// what the evaluator says, what is allowed has to arrive and so has its answer, what is not has to be dropped by a
// rule.
func (b *bench) compare(t *testing.T, what string, policies []*control.Object, list []*probe) {
	b.apply(policies)
	before := b.denied()
	j := newLinear(b.model)
	arrived, answered := b.try(list)
	var wrong []string
	denied := 0
	for _, p := range list {
		want := b.cluster.Allowed(&p.Connection)
		if !want {
			denied++
		}
		if got := arrived[p.index]; got != want {
			wrong = append(wrong, fmt.Sprintf("%s: allowed %v, arrived %v", short(&p.Connection), want, got))
		}
		if got := j.allows(&p.Connection, uint16(firstID+p.index)); got != want {
			wrong = append(wrong, fmt.Sprintf("%s: allowed %v, compiled rules say %v", short(&p.Connection), want, got))
		}
		if arrived[p.index] && !answered[p.index] {
			wrong = append(wrong, short(&p.Connection)+": the answer does not arrive")
		}
	}
	if len(wrong) > 0 {
		text, err := b.cluster.Policies()
		require.NoError(t, err)
		more := ""
		if n := len(wrong); n > 20 {
			wrong, more = wrong[:20], fmt.Sprintf("\nand %d more", n-20)
		}
		t.Fatalf("%s:\n%s%s\n\n%s", what, strings.Join(wrong, "\n"), more, text)
	}
	require.Equal(t, denied, int(b.denied()-before), "%s: packets that rules dropped", what)
}
