package route

import (
	"net/netip"

	"github.com/sluice-net/sluice/packet"
)

// proxies reports whether the router answers for an address in a segment, which is not its own there.
func (f *Forwarder) proxies(seg *segment, ip packet.Addr) bool {
	if seg.proxies(ip) {
		return true
	}
	if seg.router < 0 || len(f.fibs[seg.router].proxied) == 0 {
		return false
	}
	p, found := f.fibs[seg.router].lookup(ip)
	if !found || p.kind != pathProxied {
		return false
	}
	if seg.uplink >= 0 {
		return p.announced
	}
	return seg.contains(ip.Netip())
}

// contains reports whether an address is of one of the networks of a segment.
func (d *domain) contains(a netip.Addr) bool {
	for i := range d.networks {
		if d.networks[i].prefix.Contains(a) {
			return true
		}
	}
	return false
}

// proxyAll completes a table whose own routes are there.
func (t *fib) proxyAll(list []Proxied) {
	t.proxied, t.routes = list, t.own
	if len(list) == 0 {
		return
	}
	t.routes = t.own.Clone()
	for _, p := range list {
		if prefix, free := t.mayProxy(p.Prefix); free {
			t.routes.Insert(prefix, path{kind: pathProxied, announced: p.Announce})
		}
	}
}

// mayProxy returns a prefix as it stands in the table, and whether it is the router's to answer for: not its own address, and
// no network where others are. Routes that are configured give way.
func (t *fib) mayProxy(p netip.Prefix) (prefix netip.Prefix, free bool) {
	if !isPlain(p) {
		return netip.Prefix{}, false
	}
	prefix = p.Masked()
	own, taken := t.own.Get(prefix)
	return prefix, !taken || own.kind == pathVia || own.kind == pathBlackhole
}

// rebuildFrom is how many changes cost as much as all of a table: a change copies the nodes on the way to it.
const rebuildFrom = 512

// proxying returns the table with another list, as number number.
func (t *fib) proxying(list []Proxied, number uint64) *fib {
	next := *t
	next.number = number
	gone, come := differences(t.proxied, list)
	if len(gone)+len(come) >= rebuildFrom {
		next.proxyAll(list)
		return &next
	}
	next.proxied = list
	for _, p := range gone {
		prefix, free := t.mayProxy(p.Prefix)
		if !free {
			continue
		}
		if own, taken := t.own.Get(prefix); taken {
			next.routes = next.routes.InsertPersist(prefix, own)
		} else {
			next.routes = next.routes.DeletePersist(prefix)
		}
	}
	for _, p := range come {
		if prefix, free := t.mayProxy(p.Prefix); free {
			next.routes = next.routes.InsertPersist(prefix, path{kind: pathProxied, announced: p.Announce})
		}
	}
	return &next
}

// differences returns what only one of two lists has. They are mostly alike, in the same order.
func differences(was, is []Proxied) (gone, come []Proxied) {
	for len(was) > 0 && len(is) > 0 && was[0] == is[0] {
		was, is = was[1:], is[1:]
	}
	for len(was) > 0 && len(is) > 0 && was[len(was)-1] == is[len(is)-1] {
		was, is = was[:len(was)-1], is[:len(is)-1]
	}
	return without(was, is), without(is, was)
}

// without returns what of a list another does not have.
func without(list, other []Proxied) (rest []Proxied) {
	if len(other) == 0 {
		return list
	}
	has := make(map[Proxied]bool, len(other))
	for _, p := range other {
		has[p] = true
	}
	for _, p := range list {
		if !has[p] {
			rest = append(rest, p)
		}
	}
	return rest
}
