package classbench

import (
	"math/rand/v2"

	"github.com/sluice-net/sluice/packet"
)

// Shape is the statistics of a kind of rule set.
type Shape struct {
	Name      string
	Hosts     int // different addresses at each end, in percent of the rules
	Lengths   []Lengths
	Ports     []PortPair
	Protocols []Protocol
}

// Lengths is a part of the rules, by the lengths of their prefixes; 0 is a wildcard.
type Lengths struct {
	Share          int // percent
	SrcMin, SrcMax int
	DstMin, DstMax int
}

// PortPair is a part of the rules with ports, by classes of ranges.
type PortPair struct {
	Share    int // percent
	Src, Dst PortClass
}

// Protocol is a part of the rules.
type Protocol struct {
	Share  int // percent
	Number uint8
	Any    bool
	Ports  bool
}

// PortClass is ClassBench's: the kinds of port ranges that rules have.
type PortClass uint8

// The classes, with ClassBench's names.
const (
	Wildcard  PortClass = iota // WC
	Low                        // LO: 0 to 1023
	High                       // HI: 1024 to 65535
	Arbitrary                  // AR: another range
	Exact                      // EM: one port
)

func (l Lengths) share() int  { return l.Share }
func (p PortPair) share() int { return p.Share }
func (p Protocol) share() int { return p.Share }

// pick returns one of parts, as often as their shares say.
func pick[T interface{ share() int }](rng *rand.Rand, parts []T) T {
	left := rng.IntN(100)
	for _, p := range parts {
		if left -= p.share(); left < 0 {
			return p
		}
	}
	return parts[len(parts)-1]
}

// Shapes returns the three kinds of seeds.
func Shapes() []Shape {
	return []Shape{
		{
			// Specific at both ends; nothing is said of source ports.
			Name: "acl", Hosts: 40,
			Lengths: []Lengths{
				{44, 26, 32, 24, 32},
				{22, 16, 25, 26, 32},
				{16, 20, 32, 16, 25},
				{8, 8, 16, 24, 32},
				{6, 0, 0, 20, 32},
				{4, 24, 32, 0, 0},
			},
			Ports: []PortPair{
				{46, Wildcard, Exact},
				{28, Wildcard, Wildcard},
				{14, Wildcard, Arbitrary},
				{10, Wildcard, High},
				{1, Wildcard, Low},
				{1, Exact, Wildcard},
			},
			Protocols: []Protocol{
				{78, packet.ProtoTCP, false, true},
				{13, packet.ProtoUDP, false, true},
				{4, packet.ProtoICMP, false, false},
				{5, 0, true, false},
			},
		},
		{
			// A wildcard at one end in half of the rules, and source ports.
			Name: "fw", Hosts: 30,
			Lengths: []Lengths{
				{28, 0, 0, 22, 32},
				{20, 22, 32, 0, 0},
				{26, 26, 32, 26, 32},
				{14, 14, 24, 22, 32},
				{10, 24, 32, 14, 24},
				{2, 6, 14, 6, 14},
			},
			Ports: []PortPair{
				{38, Wildcard, Exact},
				{16, Wildcard, Wildcard},
				{12, High, Exact},
				{10, Wildcard, Arbitrary},
				{8, Exact, Wildcard},
				{6, Exact, High},
				{4, Arbitrary, Exact},
				{4, Wildcard, High},
				{2, High, High},
			},
			Protocols: []Protocol{
				{56, packet.ProtoTCP, false, true},
				{26, packet.ProtoUDP, false, true},
				{6, packet.ProtoICMP, false, false},
				{2, packet.ProtoGRE, false, false},
				{10, 0, true, false},
			},
		},
		{
			// Between the two, with networks at both ends.
			Name: "ipc", Hosts: 30,
			Lengths: []Lengths{
				{36, 24, 32, 24, 32},
				{24, 14, 24, 14, 24},
				{14, 16, 24, 26, 32},
				{14, 26, 32, 16, 24},
				{5, 0, 0, 20, 32},
				{5, 20, 32, 0, 0},
				{2, 8, 14, 8, 14},
			},
			Ports: []PortPair{
				{32, Wildcard, Exact},
				{30, Wildcard, Wildcard},
				{10, Wildcard, Arbitrary},
				{8, Wildcard, High},
				{8, Exact, Exact},
				{6, Exact, Wildcard},
				{4, Wildcard, Low},
				{2, High, High},
			},
			Protocols: []Protocol{
				{60, packet.ProtoTCP, false, true},
				{24, packet.ProtoUDP, false, true},
				{6, packet.ProtoICMP, false, false},
				{10, 0, true, false},
			},
		},
	}
}
