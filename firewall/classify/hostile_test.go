package classify

import (
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluice-net/sluice/firewall/policy"
	"github.com/sluice-net/sluice/packet"
)

// Sets that are made so that trees of them explode: they have to stay small, and right.
func TestHostileSets(t *testing.T) {
	rows := []struct {
		why      string
		make     func(rng *rand.Rand) Input
		perRule  int // bytes, at most
		packet   func(rng *rand.Rand, in *Input) Packet
		accesses int // at most; 0 if only memory has a bound
	}{
		{"every rule overlaps every other, in all dimensions", overlapping, 8192, anyPacket, 0},
		{"a rule of each second port, sources and destinations in all combinations", combs, 1 << 20, anyPacket, 160},
		{"pods in groups at random, and rules between any two groups", scattered, 8192, podPacket, 600},
		{"a thousand rules at one port, each of another group", crowded, 8192, podPacket, 0},
		{"the first rule hides all others, until it is gone", hidden, 2048, anyPacket, 40},
	}
	for _, row := range rows {
		t.Run(row.why, func(t *testing.T) {
			rng := rand.New(rand.NewPCG(3, 3))
			in := row.make(rng)
			c := NewCompiler()
			for range 2 {
				table, err := c.Compile(&in)
				require.NoError(t, err)
				st := table.Stats()
				t.Logf("%+v", st)
				require.LessOrEqual(t, st.Memory/st.Rules, row.perRule, "bytes a rule")
				if row.accesses > 0 {
					require.LessOrEqual(t, st.Deepest, row.accesses)
				}
				for range 150 {
					p := row.packet(rng, &in)
					k := keyOf(table, &in, &p)
					require.Equal(t, idOf(Linear(&in, 0, &p)), idOf(table.Match(table.Lookup(0, &k))), "%+v", p)
					require.LessOrEqual(t, table.accesses(0, &k), st.Deepest)
				}
				// Without the first rule.
				s := *in.Tiers[0][0]
				s.Rules = slices.Clone(s.Rules[1:])
				in.Tiers = [][]*policy.Section{{&s}}
			}
		})
	}
}

// rulesOf returns a policy of n rules with distinct IDs, which fill completes.
func rulesOf(n int, fill func(i int, r *policy.Rule)) [][]*policy.Section {
	s := &policy.Section{Rules: make([]policy.Rule, n)}
	for i := range s.Rules {
		s.Rules[i] = policy.Rule{ID: policy.FirstRuleID + uint32(i), Directions: policy.In | policy.Out, Families: policy.IPv4 | policy.IPv6}
		fill(i, &s.Rules[i])
	}
	return [][]*policy.Section{{s}}
}

func randomAddr(rng *rand.Rand) packet.Addr {
	x := rng.Uint32()
	return packet.AddrFrom4(&[4]byte{byte(x >> 24), byte(x >> 16), byte(x >> 8), byte(x)})
}

func randomRange(rng *rand.Rand) []policy.PortRange {
	a, b := uint16(rng.Uint32()), uint16(rng.Uint32())
	return []policy.PortRange{{First: min(a, b), Last: max(a, b)}}
}

func anyPacket(rng *rand.Rand, _ *Input) Packet {
	return Packet{
		Port: 1, Direction: policy.In, Src: randomAddr(rng), Dst: randomAddr(rng), Protocol: packet.ProtoTCP,
		SrcPort: uint16(rng.Uint32()), DstPort: uint16(rng.Uint32()),
	}
}

// overlapping is rules of a few prefixes each, all of them wide, and of wide ranges of ports.
func overlapping(rng *rand.Rand) Input {
	in := Input{Sets: make([]*policy.Set, 2)}
	for range 400 {
		s := &policy.Set{}
		for i := range uint32(16) { // half of all addresses
			if rng.IntN(2) == 0 {
				a := packet.AddrFrom4(&[4]byte{byte(i << 4)})
				s.Prefixes = append(s.Prefixes, policy.Prefix{Addr: a, Bits: 100})
			}
		}
		in.Sets = append(in.Sets, s)
	}
	in.Tiers = rulesOf(1500, func(_ int, r *policy.Rule) {
		r.Source, r.Destination = policy.SetID(2+rng.IntN(400)), policy.SetID(2+rng.IntN(400))
		r.Services = []policy.Service{{Protocol: packet.ProtoTCP, SourcePorts: randomRange(rng), DestPorts: randomRange(rng)}}
	})
	return in
}

// combs is rules whose product of spans is enormous: 32768 ports at either end of as many sources and destinations.
func combs(rng *rand.Rand) Input {
	in := Input{Sets: make([]*policy.Set, 2)}
	for k := range 4 {
		s := &policy.Set{}
		for i := range 1 << 11 {
			x := uint32(i)<<21 | uint32(k)<<19
			s.Prefixes = append(s.Prefixes, policy.Prefix{Addr: packet.AddrFrom4(&[4]byte{byte(x >> 24), byte(x >> 16)}), Bits: 96 + 13})
		}
		in.Sets = append(in.Sets, s)
	}
	var odd []policy.PortRange
	for p := 1; p < 1<<16; p += 2 {
		odd = append(odd, policy.PortRange{First: uint16(p), Last: uint16(p)})
	}
	in.Tiers = rulesOf(6, func(i int, r *policy.Rule) {
		r.Source, r.Destination = policy.SetID(2+i%4), policy.SetID(2+(i+1)%4)
		r.SourceNot = i%2 == 0
		r.Services = []policy.Service{{Protocol: packet.ProtoTCP, SourcePorts: odd, DestPorts: odd[i:]}}
	})
	return in
}

const pods = 2000

// podsIn is pods with an address each, in groups at random.
func podsIn(rng *rand.Rand, groups, each int) Input {
	in := Input{Sets: make([]*policy.Set, 2)}
	for i := range uint16(pods) {
		a := packet.AddrFrom4(&[4]byte{10, 0, byte(i >> 8), byte(i)})
		in.Endpoints = append(in.Endpoints, &policy.Endpoint{Number: i, Addresses: []packet.Addr{a}})
	}
	for range groups {
		s := &policy.Set{}
		for range each {
			s.Ports = append(s.Ports, uint16(rng.IntN(pods)))
		}
		slices.Sort(s.Ports)
		s.Ports = slices.Compact(s.Ports)
		in.Sets = append(in.Sets, s)
	}
	return in
}

func podPacket(rng *rand.Rand, in *Input) Packet {
	p := Packet{
		Port: uint16(rng.IntN(pods)), Direction: policy.In, Protocol: packet.ProtoTCP, DstPort: uint16(80 + rng.IntN(4)),
		Src: in.Endpoints[rng.IntN(pods)].Addresses[0],
	}
	if rng.IntN(2) == 0 {
		p.Port = 7
	}
	p.Dst = in.Endpoints[p.Port].Addresses[0]
	return p
}

func scattered(rng *rand.Rand) Input {
	in := podsIn(rng, 300, 100)
	in.Tiers = rulesOf(600, func(_ int, r *policy.Rule) {
		r.Directions = policy.In
		r.AppliedTo, r.Source = policy.SetID(2+rng.IntN(300)), policy.SetID(2+rng.IntN(300))
		at := uint16(80 + rng.IntN(4))
		r.Services = []policy.Service{{Protocol: packet.ProtoTCP, DestPorts: []policy.PortRange{{First: at, Last: at}}}}
	})
	return in
}

func crowded(rng *rand.Rand) Input {
	in := podsIn(rng, 400, 10)
	at := policy.SetID(len(in.Sets))
	in.Sets = append(in.Sets, &policy.Set{Ports: []uint16{7}})
	in.Tiers = rulesOf(1000, func(_ int, r *policy.Rule) {
		r.Directions = policy.In
		r.AppliedTo, r.Source = at, policy.SetID(2+rng.IntN(400))
		r.SourceNot = rng.IntN(20) == 0
		p := uint16(80 + rng.IntN(4))
		r.Services = []policy.Service{{Protocol: packet.ProtoTCP, DestPorts: []policy.PortRange{{First: p, Last: p}}}}
	})
	return in
}

func hidden(rng *rand.Rand) Input {
	in := Input{Sets: make([]*policy.Set, 2)}
	in.Tiers = rulesOf(2000, func(i int, r *policy.Rule) {
		if i > 0 {
			a, b := uint16(rng.Uint32()), uint16(rng.IntN(500))
			r.Services = []policy.Service{{Protocol: packet.ProtoTCP, DestPorts: []policy.PortRange{{First: a, Last: max(a, a+b)}}}}
		}
	})
	return in
}
