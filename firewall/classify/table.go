package classify

import (
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

// Table finds rules. Any number of goroutines may use it at once.
type Table struct {
	trie  trie
	bound hostTable

	ports   uint32 // that records are kept of, but for one more pair of all others
	tiers   []tierTable
	nodes   []node
	entries []entry
	ranks   []uint32  // by slot
	pages   [][]*rule // by slot
	stats   Stats
}

// tierTable is where the trees of a tier begin.
type tierTable struct {
	ports         []portRecord  // port << 1 | direction
	classes       []classRecord // by Class
	service, rest uint32
}

type portRecord struct{ label, tree uint32 }

type classRecord struct {
	label, src, dst uint32
	_               uint32 // so that no record is in two cache lines
}

// Stats is what a Table is like.
type Stats struct {
	Rules   int
	Classes int // of addresses
	Points  int // classes of ports
	Trees   int // of rules
	Memory  int // bytes, with what is garbage until there is as much of it as of the rest
	// Deepest is how many memory accesses, in cache lines, a Lookup may take at most: what the longest ways through a
	// tree of each kind take together. Class takes Class4 or Class6 more, for each address.
	Deepest        int
	Class4, Class6 int
}

// Stats returns what the table is like. It examines all of the table that finds addresses, and is not for the packet path.
func (t *Table) Stats() Stats {
	s := t.stats
	s.Class4, s.Class6 = t.trie.depth()
	hosts := (t.bound.reach*hostSlotSize + 63) / 64
	s.Class4 += hosts
	s.Class6 += hosts
	return s
}

// Class returns the class of an IP address in a scope.
func (t *Table) Class(scope uint32, a packet.Addr) Class {
	if c, found := t.bound.class(host{a, scope}); found {
		return Class(c)
	}
	return Class(t.trie.class(a))
}

// MACClass returns the class of a MAC address.
func (t *Table) MACClass(m packet.MAC) Class {
	c, _ := t.bound.class(macHost(m))
	return Class(c)
}

// Match returns what a Ref stands for; nil for 0.
func (t *Table) Match(r Ref) *Match {
	if r == 0 {
		return nil
	}
	return &t.rule(uint32(r)).match
}

func (t *Table) rule(slot uint32) *rule { return t.pages[slot>>pageBits][slot&(1<<pageBits-1)] }

// Lookup returns the first rule of a tier that matches.
func (t *Table) Lookup(tier int, k *Key) Ref {
	var q query
	q.set(&t.tiers[tier], k, t.ports)
	best := uint32(0)
	for _, ref := range q.trees {
		if ref != 0 {
			best = t.first(best, t.walk(ref, &q.point, q.family))
		}
	}
	return Ref(best)
}

// first returns which of two rules comes first; 0 is none.
func (t *Table) first(a, b uint32) uint32 {
	if b == 0 || a != 0 && t.ranks[a] < t.ranks[b] {
		return a
	}
	return b
}

// query is a Key as trees see it.
type query struct {
	point  point
	trees  [homes]uint32
	family uint32 // bit as policy.Families
}

func (q *query) set(t *tierTable, k *Key, ports uint32) {
	port := &t.ports[min(uint32(k.Port), ports)<<1|uint32(k.Direction>>1)&1]
	src, dst := &t.classes[k.Src], &t.classes[k.Dst]
	q.point = point{
		dimPoint: port.label, dimSrc: src.label, dimDst: dst.label,
		dimService: uint32(k.Protocol)<<16 | uint32(k.DstPort), dimSrcPort: uint32(k.SrcPort),
	}
	q.trees = [homes]uint32{port.tree, src.src, dst.dst, t.service, t.rest}
	q.family = uint32(policy.IPv4)
	if k.V6 {
		q.family = uint32(policy.IPv6)
	}
}
