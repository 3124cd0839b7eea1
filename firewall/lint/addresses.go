package lint

import (
	"bytes"
	"slices"
	"sort"

	"github.com/sluice-net/sluice/firewall/policy"
	"github.com/sluice-net/sluice/packet"
)

// addresses sorts all IP addresses, as packets of each realm have them, into classes.
//
// Things that are sorted are hosts, which are addresses of endpoints, and after them intervals, which begin where a
// prefix begins or ends and stand for addresses that are nobody's. That hosts come first makes their classes
// those that are taken as examples.
//
//	cuts    ├────┼──────┼─┼───────────┤
//	hosts     ·       ·       ·  ·
type addresses struct {
	cuts  []ip   // where intervals begin, ascending; the first is 0
	hosts []host // by address, then realm
	parts *partition
	stamp []int // by thing: the last members that it was among
	round int
	v4    []uint32 // things that are IPv4

	lists   []*policy.Policy
	at      map[host]uint32       // number of a host
	byScope []map[uint32][]uint32 // by list: realms in which a scope's addresses count
}

// ip is an address in network byte order, so that it can be compared.
type ip [16]byte

// host is an address that is bound to an endpoint, as packets of a realm have it.
type host struct {
	addr  ip
	realm uint32
}

func (a ip) compare(b ip) int { return bytes.Compare(a[:], b[:]) }

// next returns the address after a; 0 follows the last.
func (a ip) next() ip {
	for i := len(a) - 1; i >= 0; i-- {
		if a[i]++; a[i] != 0 {
			break
		}
	}
	return a
}

// previous returns the address before a.
func (a ip) previous() ip {
	for i := len(a) - 1; i >= 0; i-- {
		if a[i]--; a[i] != 0xff {
			break
		}
	}
	return a
}

// bounds returns the first and the last address of a prefix.
func bounds(p policy.Prefix) (first, last ip) {
	first = p.Addr.As16()
	last = first
	for i := int(p.Bits); i < 128; i++ {
		first[i/8] &^= 0x80 >> (i % 8)
		last[i/8] |= 0x80 >> (i % 8)
	}
	return first, last
}

// mapped is the range of IPv4 addresses.
var mapped = policy.Prefix{Addr: packet.AddrFrom4(&[4]byte{}), Bits: 96}

// sortAddresses makes classes for sets by list; each is used as source or destination in that list.
func sortAddresses(lists []*policy.Policy, realms []realm, used []map[policy.SetID]bool) *addresses {
	a := &addresses{lists: lists, at: make(map[host]uint32)}
	starts := []ip{{}}
	cut := func(p policy.Prefix) {
		first, last := bounds(p)
		starts = append(starts, first)
		if next := last.next(); next != (ip{}) {
			starts = append(starts, next)
		}
	}
	cut(mapped)
	for l, ids := range used {
		for id := range ids {
			if s := setOf(lists[l], id); s != nil {
				for _, p := range s.Prefixes {
					cut(p)
				}
			}
		}
	}
	slices.SortFunc(starts, ip.compare)
	a.cuts = slices.Compact(starts)

	for l := range lists {
		scopes := make(map[uint32][]uint32)
		for i := range realms {
			if realms[i].filtered[l] {
				scopes[realms[i].scope[l]] = append(scopes[realms[i].scope[l]], uint32(i))
			}
		}
		a.byScope = append(a.byScope, scopes)
		for _, e := range lists[l].Endpoints {
			a.hosts = a.appendHosts(a.hosts, l, e)
		}
	}
	slices.SortFunc(a.hosts, func(x, y host) int {
		if c := x.addr.compare(y.addr); c != 0 {
			return c
		}
		return int(x.realm) - int(y.realm)
	})
	a.hosts = slices.Compact(a.hosts)
	for i, h := range a.hosts {
		a.at[h] = uint32(i)
	}

	a.parts = newPartition(len(a.cuts) + len(a.hosts))
	a.stamp = make([]int, len(a.cuts)+len(a.hosts))
	a.v4 = a.covered(nil, mapped)
	a.parts.split(a.v4)
	for l, ids := range used {
		for _, id := range sortedIDs(ids) {
			a.parts.split(a.members(l, id))
		}
	}
	a.parts.compact()
	return a
}

// appendHosts appends what an endpoint of a list is in each realm in which it counts.
func (a *addresses) appendHosts(hosts []host, l int, e *policy.Endpoint) []host {
	if e != nil {
		for _, r := range a.byScope[l][e.Scope] {
			for _, addr := range e.Addresses {
				hosts = append(hosts, host{addr.As16(), r})
			}
		}
	}
	return hosts
}

// setOf returns a set, nil for one that is not there, as Any and None are.
func setOf(p *policy.Policy, id policy.SetID) *policy.Set {
	if int(id) >= len(p.Sets) {
		return nil
	}
	return p.Sets[id]
}

func sortedIDs(ids map[policy.SetID]bool) []policy.SetID {
	var all []policy.SetID
	for id := range ids {
		all = append(all, id)
	}
	slices.Sort(all)
	return all
}

// things is how many there are to be sorted.
func (a *addresses) things() int { return len(a.cuts) + len(a.hosts) }

// end returns the last address of an interval.
func (a *addresses) end(cut int) ip {
	if cut+1 == len(a.cuts) {
		return ip{}.previous()
	}
	return a.cuts[cut+1].previous()
}

// covered appends the things that are within a prefix.
func (a *addresses) covered(things []uint32, p policy.Prefix) []uint32 {
	first, last := bounds(p)
	i := sort.Search(len(a.cuts), func(i int) bool { return a.cuts[i].compare(first) >= 0 })
	for ; i < len(a.cuts) && a.cuts[i].compare(last) <= 0; i++ {
		things = append(things, uint32(len(a.hosts)+i))
	}
	i = sort.Search(len(a.hosts), func(i int) bool { return a.hosts[i].addr.compare(first) >= 0 })
	for ; i < len(a.hosts) && a.hosts[i].addr.compare(last) <= 0; i++ {
		things = append(things, uint32(i))
	}
	return things
}

// members returns the things that are in a set of a list, each once.
func (a *addresses) members(l int, id policy.SetID) []uint32 {
	s := setOf(a.lists[l], id)
	if s == nil {
		return nil
	}
	var things []uint32
	for _, p := range s.Prefixes {
		things = a.covered(things, p)
	}
	for _, port := range s.Ports {
		for _, h := range a.appendHosts(nil, l, endpointOf(a.lists[l], port)) {
			things = append(things, a.at[h])
		}
	}
	a.round++
	return slices.DeleteFunc(things, func(t uint32) bool {
		again := a.stamp[t] == a.round
		a.stamp[t] = a.round
		return again
	})
}

func endpointOf(p *policy.Policy, port uint16) *policy.Endpoint {
	if int(port) >= len(p.Endpoints) {
		return nil
	}
	return p.Endpoints[port]
}

// in returns the things of one family that packets of a realm can have.
func (a *addresses) in(r uint32, v4 bool) []uint32 {
	is4 := make([]bool, a.things())
	for _, t := range a.v4 {
		is4[t] = true
	}
	taken := a.taken(r)
	var things []uint32
	for t := range uint32(a.things()) {
		switch {
		case is4[t] != v4:
		case int(t) < len(a.hosts):
			if a.hosts[t].realm == r {
				things = append(things, t)
			}
		default:
			if _, free := a.free(int(t)-len(a.hosts), taken); free {
				things = append(things, t)
			}
		}
	}
	return things
}

// taken returns the addresses of a realm's hosts, ascending.
func (a *addresses) taken(r uint32) []ip {
	var taken []ip
	for _, h := range a.hosts {
		if h.realm == r {
			taken = append(taken, h.addr)
		}
	}
	return taken
}

// free returns an address of an interval that is none of those taken; false: there is none.
func (a *addresses) free(cut int, taken []ip) (ip, bool) {
	first, last := a.cuts[cut], a.end(cut)
	for _, example := range examples {
		if e := ip(example.As16()); first.compare(e) <= 0 && e.compare(last) <= 0 && !isTaken(e, taken) {
			return e, true
		}
	}
	// The first address of a prefix is rarely a host's.
	next := first
	if first != last {
		next = first.next()
	}
	i := sort.Search(len(taken), func(i int) bool { return taken[i].compare(next) >= 0 })
	for ; i < len(taken) && taken[i] == next; i++ {
		if next == last {
			return first, first != last && !isTaken(first, taken)
		}
		next = next.next()
	}
	return next, true
}

func isTaken(a ip, taken []ip) bool {
	_, found := slices.BinarySearchFunc(taken, a, ip.compare)
	return found
}
