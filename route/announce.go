package route

import (
	"math"
	"net/netip"
	"sync"
	"sync/atomic"

	"github.com/sluice-net/sluice/dataplane"
	"github.com/sluice-net/sluice/packet"
)

// announcer tells neighbours of addresses that the router answers for from now on: who has another MAC address for one, of the
// node that had it before, sends there until that ages. An address is announced where it is new, on the uplinks whose network it
// is of and the segments whose subnet it is of, and so are all when an uplink has another network, or a port has come up.
//
//	Adopt ──▶ batch ──▶ Tick: at most announcePerTurn frames ──▶ again a second after it began ──▶ and again
type announcer struct {
	due atomic.Int64 // when the next one is to be sent; never: there is none

	mu      sync.Mutex
	batches []batch
}

// batch is what is announced together.
type batch struct {
	list  []announcement
	next  int // of list
	round int
	began int64 // this round
	due   int64
}

// announcement is an address in a zone, for all ports there or for one.
type announcement struct {
	ip   packet.Addr
	zone packet.Zone
	port uint16 // 0: all
}

const (
	// announceRounds is MAX_NEIGHBOR_ADVERTISEMENT of RFC 4861 section 10, and announceIntervalNs not less than its RetransTimer;
	// of ARP, RFC 5227 section 2.3 wants two.
	announceRounds     = 3
	announceIntervalNs = 1e9

	// announcePerTurn bounds the frames of a turn: 6400 a second.
	announcePerTurn = 64

	// announceLargest is the number of addresses of the largest network that is announced, address by address.
	announceLargest = 1024
)

// add has addresses announced.
func (a *announcer) add(list []announcement) {
	if len(list) == 0 {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.batches = append(a.batches, batch{list: list, due: math.MinInt64})
	a.due.Store(math.MinInt64)
}

// take returns what is to be announced next at time now, if anything is.
func (a *announcer) take(now int64) (x announcement, found bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	due := int64(never)
	for i := range a.batches {
		b := &a.batches[i]
		if found || b.due > now {
			due = min(due, b.due)
			continue
		}
		if b.next == 0 {
			b.began = now
		}
		x, found = b.list[b.next], true
		if b.next++; b.next == len(b.list) {
			b.next, b.due = 0, b.began+announceIntervalNs
			b.round++
		}
		if b.round < announceRounds {
			due = min(due, b.due)
		}
	}
	for i := range a.batches {
		if a.batches[i].round == announceRounds {
			a.batches = append(a.batches[:i], a.batches[i+1:]...) // one at most, of this turn
			break
		}
	}
	a.due.Store(due)
	return x, found
}

// announceDue sends what is due.
func (f *Forwarder) announceDue(w *dataplane.Worker, now int64) {
	a := &f.state.announcer
	for n := 0; n < announcePerTurn && now >= a.due.Load(); {
		x, found := a.take(now)
		if !found {
			return
		}
		n += max(f.announce(w, &x), 1)
	}
}

// announce sends one announcement, unless the address has gone meanwhile. It returns the number of frames.
func (f *Forwarder) announce(w *dataplane.Worker, x *announcement) (n int) {
	seg := f.segmentOf(x.zone)
	if seg == nil || !f.proxies(seg, x.ip) {
		return 0
	}
	for _, t := range seg.flood {
		if x.port != 0 && x.port != t.Port {
			continue
		}
		if x.ip.Is4() {
			f.sendARP(w, t.Port, t, packet.Broadcast, &packet.ARPFields{
				Op: packet.ARPRequest, SenderMAC: seg.routerMAC, SenderIP: x.ip, TargetIP: x.ip,
			})
		} else {
			all, _ := packet.GroupMAC(allNodes)
			f.sendND(w, t.Port, t, all, x.ip, allNodes, &packet.NDNeighborFields{
				Type: packet.ICMPv6NeighborAdvertisement, Target: x.ip, Router: true, Override: true,
				HasLinkAddr: true, LinkAddr: seg.routerMAC,
			})
		}
		n++
	}
	return n
}

// unannounced returns what is to be announced now that f is in force in the place of old, which may be nil.
func (f *Forwarder) unannounced(old *Forwarder) (list []announcement) {
	added := make([][]Proxied, len(f.fibs))
	some := false
	for r, t := range f.fibs {
		_, added[r] = differences(old.proxiedOf(t.name), t.proxied)
		some = some || len(t.proxied) != 0
	}
	if !some {
		return nil
	}
	whole := map[packet.Zone]bool{}
	for i := range f.segments {
		seg := &f.segments[i]
		if seg.router < 0 {
			continue
		}
		fresh := added[seg.router]
		if was := old.lanOf(seg.zone); was == nil || was.domain != seg.domain && !was.equal(seg.domain) {
			fresh, whole[seg.zone] = f.fibs[seg.router].proxied, true
		}
		list = seg.announcing(list, fresh, 0)
	}
	for number, link := range f.links {
		p := f.portAt(uint16(number))
		if p == nil || !link.Up || old.linkAt(number) == link {
			continue
		}
		for i := range p.config.Zones {
			if seg := f.segmentOf(p.config.Zones[i].Zone); seg != nil && seg.router >= 0 && !whole[seg.zone] {
				list = seg.announcing(list, f.fibs[seg.router].proxied, uint16(number))
			}
		}
	}
	return list
}

// announcing appends the announcements of what belongs to a segment.
func (seg *segment) announcing(list []announcement, proxied []Proxied, port uint16) []announcement {
	for _, p := range proxied {
		if !p.Announce || !isPlain(p.Prefix) || 1<<min(p.Prefix.Addr().BitLen()-p.Prefix.Bits(), 31) > announceLargest {
			continue
		}
		prefix := p.Prefix.Masked()
		if !seg.overlaps(prefix) {
			continue
		}
		for a := prefix.Addr(); a.IsValid() && prefix.Contains(a); a = a.Next() {
			if seg.contains(a) {
				list = append(list, announcement{packet.AddrFrom(a), seg.zone, port})
			}
		}
	}
	return list
}

// overlaps reports whether a network has addresses in common with those of a segment.
func (d *domain) overlaps(prefix netip.Prefix) bool {
	for i := range d.networks {
		if d.networks[i].prefix.Overlaps(prefix) {
			return true
		}
	}
	return false
}

// proxiedOf returns what the router of a table answered for; f may be nil.
func (f *Forwarder) proxiedOf(name string) []Proxied {
	if f == nil {
		return nil
	}
	for _, t := range f.fibs {
		if t.name == name {
			return t.proxied
		}
	}
	return nil
}

// linksOf returns the links of a configuration, by port number.
func linksOf(c *Config) (links []Link) {
	for i := range c.Links {
		number := int(c.Ports[i].Number)
		if number >= len(links) {
			links = append(links, make([]Link, number+1-len(links))...)
		}
		if links[number] = c.Links[i]; !links[number].Up {
			links[number] = Link{} // what is down need not be comparable
		}
	}
	return links
}

// linkAt returns a port's link, as it is known; f may be nil.
func (f *Forwarder) linkAt(number int) (l Link) {
	if f != nil && number < len(f.links) {
		l = f.links[number]
	}
	return l
}
