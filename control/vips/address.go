package vips

import (
	"encoding/binary"
	"hash/fnv"
	"net/netip"
	"slices"
	"strconv"

	"github.com/sluice-net/sluice/control/ipam"
)

// item is one address that is wanted: a certain one, or any of a family.
type item struct {
	asked  netip.Addr // the zero Addr: any
	bitLen int
}

func (i item) fits(x netip.Addr) bool {
	return x == i.asked || !i.asked.IsValid() && x.BitLen() == i.bitLen
}

// items calls do for each address that is wanted, until do returns false.
func (w *Want) items(do func(item) bool) {
	for _, address := range w.Addresses {
		if !do(item{address, address.BitLen()}) {
			return
		}
	}
	for _, bitLen := range w.Families {
		if !slices.ContainsFunc(w.Addresses, func(x netip.Addr) bool { return x.BitLen() == bitLen }) && !do(item{bitLen: bitLen}) {
			return
		}
	}
}

// terms stand for all by which it is decided who may have an address besides.
func (r *Request) terms(w *Want) string {
	sum := fnv.New64a()
	sum.Write(binary.BigEndian.AppendUint32(nil, r.Scope))
	if w.Share == nil {
		return strconv.FormatUint(sum.Sum64(), 16)
	}
	sum.Write([]byte(w.Share.Key + "\x00" + w.Share.Policy + "\x00"))
	for _, p := range w.Share.Ports {
		sum.Write(binary.BigEndian.AppendUint16(binary.BigEndian.AppendUint16([]byte{p.Protocol}, p.First), p.Last))
	}
	return strconv.FormatUint(sum.Sum64(), 16)
}

// share returns the key that a want of a request shares addresses by.
func (r *Request) share(w *Want) (shareKey, bool) {
	if w.Share == nil {
		return shareKey{}, false
	}
	return shareKey{r.Scope, w.Share.Key, w.Share.Policy}, true
}

// expire ends quarantines.
func (a *Allocator) expire() {
	for _, f := range a.in.Previous.Freed {
		if a.in.Now-f.At < a.in.Quarantine {
			continue
		}
		list := slices.DeleteFunc(a.freed[f.Address], func(x Freed) bool { return a.in.Now-x.At >= a.in.Quarantine })
		a.freedNew = true
		if len(list) > 0 {
			a.freed[f.Address] = list
			continue
		}
		delete(a.freed, f.Address)
		a.vacate(f.Address)
	}
}

// keep has owners keep what they had: first those whose terms are as they were, then the others, for who has changed
// what it shares an address by is the one to give way.
func (a *Allocator) keep() {
	for _, h := range a.work {
		h.has, h.kept = Held{}, true
		for i := range h.request.Wants {
			w := &h.request.Wants[i]
			terms := h.request.terms(w)
			for _, x := range h.had.Addresses {
				h.kept = h.kept && (x.Use != w.Use || x.Terms == terms)
			}
		}
	}
	for _, kept := range []bool{true, false} {
		for _, h := range a.work {
			if h.kept != kept {
				continue
			}
			for i := range h.request.Wants {
				w := &h.request.Wants[i]
				for item := range w.items {
					for _, x := range h.had.Addresses {
						if x.Use == w.Use && item.fits(x.Address) && !h.holds(w.Use, item) && a.stillAsked(w, item, x) && a.rival(h, i, x.Address, false) == nil {
							if !item.asked.IsValid() || !w.Anywhere {
								x.Outside = false // it is of a pool now, and stays if that goes
							}
							a.book(h, i, x)
						}
					}
				}
			}
		}
	}
}

// holds reports whether a holding has what is wanted for a use.
func (h *holding) holds(u Use, i item) bool {
	return slices.ContainsFunc(h.has.Addresses, func(x HeldAddress) bool { return x.Use == u && i.fits(x.Address) })
}

// stillAsked reports whether an address that an owner has, and that fits, may stay its own.
func (a *Allocator) stillAsked(w *Want, i item, x HeldAddress) bool {
	if x.Outside && a.poolOf(x.Address) == nil && !(i.asked.IsValid() && w.Anywhere) {
		return false // nobody asks for it, or by this want, any more
	}
	if w.Pool == "" || w.Pool == x.Pool {
		return true
	}
	pool := a.pool(w)
	return pool != nil && pool.Has(x.Address)
}

// pool returns the pool that a want names, nil if there is none.
func (a *Allocator) pool(w *Want) *Pool {
	for i := range a.in.Pools {
		if p := &a.in.Pools[i]; p.Name == w.Pool && p.Use == w.Use {
			return p
		}
	}
	return nil
}

// poolOf returns the pool that an address is of, nil if none.
func (a *Allocator) poolOf(address netip.Addr) *Pool {
	for i := range a.in.Pools {
		if p := &a.in.Pools[i]; p.Has(address) {
			return p
		}
	}
	return nil
}

// rival returns who has an address that a holding therefore can't have, of several the first by Compare; nil: nobody.
// Address spaces are apart, but a pool is one stock for all of them, for who asks anew.
func (a *Allocator) rival(h *holding, want int, address netip.Addr, anew bool) (first *holding) {
	for _, s := range a.at[address] {
		apart := s.h.request.Scope != h.request.Scope
		if s.h == h || apart && !(anew && a.poolOf(address) != nil) ||
			!apart && shareable(&h.request.Wants[want], &s.h.request.Wants[s.want]) {
			continue
		}
		if first == nil || Compare(s.h.request.Owner, first.request.Owner) < 0 {
			first = s.h
		}
	}
	return first
}

func shareable(a, b *Want) bool {
	return a.Use == b.Use && a.Share != nil && b.Share != nil && a.Share.Key == b.Share.Key && a.Share.Policy == b.Share.Policy &&
		!slices.ContainsFunc(a.Share.Ports, func(p Ports) bool { return slices.ContainsFunc(b.Share.Ports, p.overlaps) })
}

// book makes an address a holding's.
func (a *Allocator) book(h *holding, want int, x HeldAddress) {
	w := &h.request.Wants[want]
	x.Use, x.Pool, x.Terms = w.Use, w.Pool, h.request.terms(w)
	h.has.Addresses = append(h.has.Addresses, x)
	a.at[x.Address] = append(a.at[x.Address], spot{h, want})
	if key, shares := h.request.share(w); shares {
		a.shared[key] = append(a.shared[key], x.Address)
	}
	if len(a.freed[x.Address]) > 0 {
		delete(a.freed, x.Address)
		a.freedNew = true
	}
	a.occupy(x.Address)
}

// unbook takes from a holding all that it has; it remembers what that was.
func (a *Allocator) unbook(h *holding) {
	for _, x := range h.has.Addresses {
		for i := range h.request.Wants {
			w := &h.request.Wants[i]
			if w.Use != x.Use {
				continue
			}
			if key, shares := h.request.share(w); shares {
				a.shared[key] = removeOne(a.shared[key], x.Address)
				if len(a.shared[key]) == 0 {
					delete(a.shared, key)
				}
			}
		}
		rest := slices.DeleteFunc(a.at[x.Address], func(s spot) bool { return s.h == h })
		if len(rest) > 0 {
			a.at[x.Address] = rest
			continue
		}
		delete(a.at, x.Address)
		a.vacate(x.Address)
	}
	for _, p := range h.has.NodePorts {
		a.ports[portSpace{h.request.Scope, p.Protocol}].free(p.Number)
	}
	h.has = Held{}
}

func removeOne[T comparable](list []T, v T) []T {
	if i := slices.Index(list, v); i >= 0 {
		list[i] = list[len(list)-1]
		list = list[:len(list)-1]
	}
	return list
}

// release puts what was given back, and what owners did not keep, into quarantine.
func (a *Allocator) release(gone []*holding) {
	for _, h := range gone {
		for _, x := range h.had.Addresses {
			a.free(h, x)
		}
	}
	for _, h := range a.work {
		for _, x := range h.had.Addresses {
			a.free(h, x)
		}
	}
}

// free puts an address that an owner had into quarantine, if nobody has it and it is, or was, a pool's.
func (a *Allocator) free(h *holding, x HeldAddress) {
	if len(a.at[x.Address]) > 0 || a.in.Quarantine <= 0 || !x.Address.IsValid() {
		return
	}
	if x.Outside && a.poolOf(x.Address) == nil {
		return // who asks for an address of his own need not wait for what he gave back under another name
	}
	if slices.ContainsFunc(a.freed[x.Address], func(f Freed) bool { return f.Owner == h.key }) {
		return
	}
	list := append(a.freed[x.Address], Freed{x.Address, h.key, a.in.Now})
	slices.SortFunc(list, compareFreed)
	a.freed[x.Address] = list
	a.freedNew = true
	a.occupy(x.Address)
}

// barred reports whether an address is in quarantine, for a holding.
func (a *Allocator) barred(h *holding, address netip.Addr) bool {
	list := a.freed[address]
	return len(list) > 0 && !slices.ContainsFunc(list, func(f Freed) bool { return f.Owner == h.key })
}

// lacking calls do for each address that work wants and has not.
func (a *Allocator) lacking(do func(h *holding, want int, i item)) {
	for _, h := range a.work {
		for n := range h.request.Wants {
			w := &h.request.Wants[n]
			for i := range w.items {
				if !h.holds(w.Use, i) {
					do(h, n, i)
				}
			}
		}
	}
}

// grantReturned gives owners back what they gave back a short time ago. It comes first: others may join them.
func (a *Allocator) grantReturned() {
	if len(a.freed) == 0 {
		return
	}
	freedBy := map[string][]netip.Addr{}
	for address, list := range a.freed {
		for _, f := range list {
			freedBy[f.Owner] = append(freedBy[f.Owner], address)
		}
	}
	a.lacking(func(h *holding, want int, i item) {
		w := &h.request.Wants[want]
		lowest := netip.Addr{}
		for _, address := range freedBy[h.key] {
			switch {
			case !i.fits(address), lowest.IsValid() && lowest.Less(address):
			case i.asked.IsValid() && a.refusal(h, want, address) != "":
			case !i.asked.IsValid() && !a.mayHave(h, want, a.poolsFor(w, i.bitLen), address):
			default:
				lowest = address
			}
		}
		if lowest.IsValid() {
			a.book(h, want, HeldAddress{Address: lowest, Outside: a.poolOf(lowest) == nil})
		}
	})
}

// grantAsked gives the addresses that are asked for, as far as they may be given.
func (a *Allocator) grantAsked() {
	a.lacking(func(h *holding, want int, i item) {
		if !i.asked.IsValid() {
			return
		}
		if reason := a.refusal(h, want, i.asked); reason != "" {
			h.missing = append(h.missing, missing{want: want, item: i, reason: reason})
			return
		}
		a.book(h, want, HeldAddress{Address: i.asked, Outside: a.poolOf(i.asked) == nil})
	})
}

// refusal says why an address that is asked for is not given; empty: it is.
func (a *Allocator) refusal(h *holding, want int, address netip.Addr) Reason {
	w := &h.request.Wants[want]
	pool := a.poolOf(address)
	switch {
	case w.Pool != "" && a.pool(w) == nil:
		return PoolNotFound
	case pool == nil && !w.Anywhere, pool != nil && pool.Use != w.Use && !w.Anywhere, w.Pool != "" && !a.pool(w).Has(address):
		return AddressOutside
	case a.rival(h, want, address, true) != nil, a.taken(h.request.Scope, address) != "":
		return AddressTaken
	case a.barred(h, address):
		return AddressQuarantine
	}
	return ""
}

// grantAny gives addresses to those who take any.
func (a *Allocator) grantAny() {
	a.lacking(func(h *holding, want int, i item) {
		if i.asked.IsValid() {
			return // grantAsked did not, and said why
		}
		address, reason := a.choose(h, want, i.bitLen)
		if reason != "" {
			h.missing = append(h.missing, missing{want: want, item: i, reason: reason})
		} else if address.IsValid() {
			a.book(h, want, HeldAddress{Address: address})
		}
	})
}

// choose finds an address for who takes any. Neither address nor reason: it is done without.
func (a *Allocator) choose(h *holding, want, bitLen int) (address netip.Addr, why Reason) {
	w := &h.request.Wants[want]
	pools := a.poolsFor(w, bitLen)
	switch {
	case len(pools) > 0:
	case w.Pool != "" && a.pool(w) == nil:
		return address, PoolNotFound
	case w.Optional && bitLen != w.Families[0]:
		return address, ""
	default:
		return address, NoPool
	}
	if address = a.joined(h, want, bitLen, pools); address.IsValid() {
		return address, ""
	}
	for _, pool := range pools {
		if address = a.fromStock(h.request.Scope, pool, bitLen); address.IsValid() {
			return address, ""
		}
	}
	return address, NoAddressFree
}

// poolsFor returns the pools, by index, that have addresses of a family for a want.
func (a *Allocator) poolsFor(w *Want, bitLen int) (list []int) {
	for i := range a.in.Pools {
		p := &a.in.Pools[i]
		if p.Use == w.Use && (w.Pool == "" || w.Pool == p.Name) &&
			slices.ContainsFunc(p.Ranges, func(r ipam.Range) bool { return r.First.BitLen() == bitLen }) {
			list = append(list, i)
		}
	}
	return list
}

// mayHave reports whether an owner may have an address of certain pools.
func (a *Allocator) mayHave(h *holding, want int, pools []int, address netip.Addr) bool {
	return slices.ContainsFunc(pools, func(i int) bool { return a.in.Pools[i].Has(address) }) && !a.barred(h, address) &&
		a.rival(h, want, address, true) == nil && a.taken(h.request.Scope, address) == ""
}

// joined finds an address of others that an owner may share.
func (a *Allocator) joined(h *holding, want, bitLen int, pools []int) (lowest netip.Addr) {
	key, shares := h.request.share(&h.request.Wants[want])
	if !shares || key.key == SharedByPorts {
		return lowest
	}
	for _, address := range a.shared[key] {
		if address.BitLen() == bitLen && (!lowest.IsValid() || address.Less(lowest)) && a.mayHave(h, want, pools, address) {
			lowest = address
		}
	}
	return lowest
}

// fromStock finds a pool's lowest free address.
func (a *Allocator) fromStock(scope uint32, pool, bitLen int) netip.Addr {
	stock := a.stock(pool)
	for {
		address, err := stock.AnyBut(nil, bitLen)
		if err != nil || a.taken(scope, address) == "" {
			return address
		}
		a.passed = append(a.passed, address)
	}
}

// stock returns what is free of a pool.
func (a *Allocator) stock(pool int) *ipam.Pool {
	if a.stocks[pool] == nil {
		p := &a.in.Pools[pool]
		stock := ipam.NewPool(p.Ranges...)
		var out []netip.Addr
		for address := range a.at {
			if p.Has(address) {
				out = append(out, address)
			}
		}
		for address := range a.freed {
			if p.Has(address) {
				out = append(out, address)
			}
		}
		slices.SortFunc(out, netip.Addr.Compare)
		stock.WithholdEach(out)
		a.stocks[pool] = stock
	}
	return a.stocks[pool]
}

// occupy takes an address out of the stock that it is of.
func (a *Allocator) occupy(address netip.Addr) {
	for _, stock := range a.stocks {
		if stock != nil && stock.IsFree(address) {
			stock.Withhold(ipam.Range{First: address, Last: address})
		}
	}
}

// vacate puts an address back into the stock that it is of, unless somebody has it or it is in quarantine.
func (a *Allocator) vacate(address netip.Addr) {
	if len(a.at[address]) > 0 || len(a.freed[address]) > 0 {
		return
	}
	for _, stock := range a.stocks {
		if stock != nil {
			stock.Release(address)
		}
	}
}

// unpass puts back what was left out as Taken: it may be free now.
func (a *Allocator) unpass() {
	passed := a.passed
	a.passed = nil
	for _, address := range passed {
		a.vacate(address)
	}
}
