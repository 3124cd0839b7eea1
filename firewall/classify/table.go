// Package classify finds the first rule of a policy that matches a packet, in a
// number of memory accesses that is bounded whatever the rules and whatever the
// traffic.
package classify

import (
	"sync"

	"github.com/sluice-net/sluice/firewall/policy"
	"github.com/sluice-net/sluice/packet"
)

// Input is what a Table is compiled from. What is the same pointer as in the Input
// before is the same.
type Input struct {
	Endpoints []*policy.Endpoint  // by number; nil where there is none
	Sets      []*policy.Set       // by SetID
	Tiers     [][]*policy.Section // groups of sections that are searched separately, each in order of evaluation

	// Ethernet: rules are about frames. They look at the MAC addresses of sets and endpoints and at
	// the services' EtherTypes, and families and the rest of a service have no meaning.
	Ethernet bool
}

// Match is a rule that matches, in its section.
type Match struct {
	Section *policy.Section
	Rule    *policy.Rule
}

// Class stands for all addresses that no rule tells apart. It has a meaning in its Table only.
type Class uint32

// Ref is a rule in a Table; 0 is none.
type Ref uint32

// Key is what rules look at, in terms of one Table.
type Key struct {
	Src, Dst  Class            // Table.Class, or MACClass
	Port      uint16           // at which the rules are asked
	Direction policy.Direction // In or Out
	Protocol  uint8            // IP protocol; 0 for frames
	V6        bool
	SrcPort   uint16 // 0 of protocols without ports
	DstPort   uint16 // of ICMP: type << 8 | code. Of frames: EtherType
}

// Compiler makes Tables of Inputs that follow each other, doing anew only what has
// changed. It is for one goroutine at a time.
type Compiler struct{}

// NewCompiler returns a Compiler without a past.
func NewCompiler() *Compiler { return &Compiler{} }

// Compile makes the Table of an Input. Tables are immutable and may be used while others are compiled.
func (c *Compiler) Compile(in *Input) (*Table, error) {
	t := &Table{in: in, classes: map[address]Class{}, refs: map[*policy.Rule]Ref{}, addrs: []address{{}}, matches: []Match{{}}}
	for _, tier := range in.Tiers {
		for _, s := range tier {
			for i := range s.Rules {
				t.refs[&s.Rules[i]] = Ref(len(t.matches))
				t.matches = append(t.matches, Match{s, &s.Rules[i]})
			}
		}
	}
	return t, nil
}

type address struct {
	scope uint32
	addr  packet.Addr
	mac   packet.MAC
}

// Table finds rules. Any number of goroutines may use it at once.
type Table struct {
	in      *Input
	mu      sync.Mutex
	classes map[address]Class
	addrs   []address
	refs    map[*policy.Rule]Ref
	matches []Match
}

func (t *Table) classOf(a address) Class {
	t.mu.Lock()
	defer t.mu.Unlock()
	c, found := t.classes[a]
	if !found {
		c = Class(len(t.addrs))
		t.addrs, t.classes[a] = append(t.addrs, a), c
	}
	return c
}

// Class returns the class of an IP address in a scope.
func (t *Table) Class(scope uint32, a packet.Addr) Class {
	return t.classOf(address{scope: scope, addr: a})
}

// MACClass returns the class of a MAC address.
func (t *Table) MACClass(m packet.MAC) Class { return t.classOf(address{mac: m}) }

// Lookup returns the first rule of a tier that matches.
func (t *Table) Lookup(tier int, k *Key) Ref {
	t.mu.Lock()
	src, dst := t.addrs[k.Src], t.addrs[k.Dst]
	t.mu.Unlock()
	m := Linear(t.in, tier, &Packet{
		Port: k.Port, Direction: k.Direction, Scope: src.scope, Src: src.addr, Dst: dst.addr,
		Protocol: k.Protocol, SrcPort: k.SrcPort, DstPort: k.DstPort, SrcMAC: src.mac, DstMAC: dst.mac,
	})
	if m == nil {
		return 0
	}
	return t.refs[m.Rule]
}

// LookupVector is Lookup for up to 64 keys at once, which hides what memory costs.
func (t *Table) LookupVector(tier int, keys []Key, refs []Ref) {
	for i := range keys {
		refs[i] = t.Lookup(tier, &keys[i])
	}
}

// Match returns what a Ref stands for; nil for 0.
func (t *Table) Match(r Ref) *Match {
	if r == 0 {
		return nil
	}
	return &t.matches[r]
}
