package lint

import (
	"encoding/binary"
	"math/rand/v2"
	"testing"

	"github.com/sluice-net/sluice/firewall/policy"
	"github.com/sluice-net/sluice/packet"
	"github.com/stretchr/testify/require"
)

// choices is randomness that a fuzzer chooses, as long as it lasts.
type choices struct {
	data []byte
	then *rand.PCG
}

func (c *choices) Uint64() uint64 {
	if len(c.data) == 0 {
		return c.then.Uint64()
	}
	var b [8]byte
	b[7] = c.data[0] // IntN looks at the upper bits
	c.data = c.data[1:]
	return binary.LittleEndian.Uint64(b[:])
}

// FuzzAnalyze: whatever the policy, what is said of it is what every packet shows.
func FuzzAnalyze(f *testing.F) {
	f.Add([]byte{})
	f.Add([]byte{0, 0xff, 0x80, 0x40, 0xc0, 0x20, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10})
	f.Fuzz(func(t *testing.T, data []byte) {
		r := rand.New(&choices{data, rand.NewPCG(1, uint64(len(data)))})
		checkAgainstEveryPacket(t, randomPolicy(r, r.IntN(4) == 0))
	})
}

// FuzzAnyPolicy: no policy, however wrong it is, makes Analyze or Equal panic; a policy is equal to
// itself; and findings stay within their bounds.
func FuzzAnyPolicy(f *testing.F) {
	f.Add([]byte{})
	f.Add([]byte("\x00\xff\x80\x40\xc0\x20 rules that name sets that are not there, and the like"))
	f.Fuzz(func(t *testing.T, data []byte) {
		r := rand.New(&choices{data, rand.NewPCG(2, uint64(len(data)))})
		p := wildPolicy(r)
		report := Analyze(p, nil, Options{Causes: 2, Contradictions: 3, Budget: 1000, Total: 10000})
		for i := range report.Findings {
			require.LessOrEqual(t, len(report.Findings[i].Causes), 2)
		}
		d, _ := Equal(p, p, Options{Budget: 1000, Total: 10000})
		require.Nil(t, d)
		d, equal := Equal(p, wildPolicy(r), Options{Budget: 1000, Total: 10000})
		require.False(t, equal && d != nil)
	})
}

// wildPolicy returns a policy that control would not make.
func wildPolicy(r *rand.Rand) *policy.Policy {
	p := &policy.Policy{Excluded: policy.SetID(r.IntN(20)), Default: policy.Rule{Action: policy.Action(r.IntN(6))}}
	anyAddr := func() packet.Addr { return packet.Addr{r.Uint64(), r.Uint64()} }
	for range r.IntN(8) {
		var s *policy.Set
		if r.IntN(4) > 0 {
			s = &policy.Set{Ports: []uint16{uint16(r.IntN(9)), uint16(r.IntN(9)), 0xffff}, MACs: []packet.MAC{{0, byte(r.IntN(3))}, {0, 1}}}
			s.Prefixes = []policy.Prefix{{Addr: anyAddr(), Bits: uint8(r.IntN(256))}, {Addr: anyAddr(), Bits: uint8(r.IntN(129))}, {}}
		}
		p.Sets = append(p.Sets, s)
	}
	for n := range r.IntN(8) {
		var e *policy.Endpoint
		if r.IntN(4) > 0 {
			a := anyAddr()
			e = &policy.Endpoint{Number: uint16(n), Scope: uint32(r.IntN(3)), Addresses: []packet.Addr{a, a, {}, worldV4[1]}, MACs: []packet.MAC{{0, 1}, {0, 1}}}
		}
		p.Endpoints = append(p.Endpoints, e)
	}
	for range r.IntN(4) {
		s := &policy.Section{Category: policy.Category(r.IntN(7)), Marker: r.IntN(5) == 0}
		for range r.IntN(5) {
			rule := policy.Rule{
				ID: uint32(r.IntN(5)), Action: policy.Action(r.IntN(6)), Directions: policy.Direction(r.IntN(8)), Families: policy.Families(r.IntN(8)),
				AppliedTo: policy.SetID(r.IntN(12)), Source: policy.SetID(r.IntN(12)), Destination: policy.SetID(r.IntN(12)), SourceNot: r.IntN(2) == 0,
			}
			for range r.IntN(4) {
				rule.Services = append(rule.Services, policy.Service{
					EtherType: uint16(r.IntN(3)), Protocol: uint8(r.IntN(256)), ICMPType: int16(r.IntN(1000) - 300), ICMPCode: int16(r.IntN(1000) - 300),
					SourcePorts: []policy.PortRange{{First: uint16(r.Uint32()), Last: uint16(r.Uint32())}, {First: 0xffff, Last: 0xffff}},
					DestPorts:   []policy.PortRange{{First: uint16(r.IntN(10)), Last: uint16(r.IntN(10))}},
				})
			}
			s.Rules = append(s.Rules, rule)
		}
		p.Sections = append(p.Sections, s)
	}
	return p
}
