package vips

import (
	"encoding/binary"
	"hash/fnv"
	"net/netip"
	"slices"
	"strconv"

	"github.com/sluice-net/sluice/control/ipam"
)

// families returns the lengths in bits of the addresses that are wanted, each once, in order.
func (w *Want) families() []int {
	list := w.Families
	for _, a := range w.Addresses {
		if !slices.Contains(list, a.BitLen()) {
			list = append(slices.Clip(list), a.BitLen())
		}
	}
	return list
}

// asked returns the address of a family that is asked for, or the zero Addr.
func (w *Want) asked(bitLen int) netip.Addr {
	for _, a := range w.Addresses {
		if a.BitLen() == bitLen {
			return a
		}
	}
	return netip.Addr{}
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
				for _, bitLen := range w.families() {
					for _, x := range h.had.Addresses {
						if x.Use == w.Use && x.Address.BitLen() == bitLen && !h.holds(w.Use, bitLen) && a.stillAsked(w, x) && a.rival(h, i, x.Address, false) == nil {
							a.book(h, i, x)
						}
					}
				}
			}
		}
	}
}

// holds reports whether a holding has an address of a use and family.
func (h *holding) holds(u Use, bitLen int) bool {
	return slices.ContainsFunc(h.has.Addresses, func(x HeldAddress) bool { return x.Use == u && x.Address.BitLen() == bitLen })
}

// stillAsked reports whether an address that an owner has is what it asks for.
func (a *Allocator) stillAsked(w *Want, x HeldAddress) bool {
	if asked := w.asked(x.Address.BitLen()); asked.IsValid() && asked != x.Address {
		return false
	} else if x.Outside && a.poolOf(x.Address) == nil && !(asked.IsValid() && w.Anywhere) {
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

// rival returns who has an address that a holding therefore can't have; nil: nobody. Address spaces are apart, but
// a pool is one stock for all of them, for who asks anew.
func (a *Allocator) rival(h *holding, want int, address netip.Addr, anew bool) *holding {
	for _, s := range a.at[address] {
		if s.h == h {
			continue
		}
		if s.h.request.Scope == h.request.Scope {
			if !shareable(&h.request.Wants[want], &s.h.request.Wants[s.want]) {
				return s.h
			}
		} else if anew && a.poolOf(address) != nil {
			return s.h
		}
	}
	return nil
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

// lacking calls do for each want and family of work for which nothing is there.
func (a *Allocator) lacking(do func(h *holding, want, bitLen int)) {
	for _, h := range a.work {
		for i := range h.request.Wants {
			w := &h.request.Wants[i]
			for _, bitLen := range w.families() {
				if !h.holds(w.Use, bitLen) {
					do(h, i, bitLen)
				}
			}
		}
	}
}

// grantAsked gives the addresses that are asked for, as far as they may be given.
func (a *Allocator) grantAsked() {
	a.lacking(func(h *holding, want, bitLen int) {
		w := &h.request.Wants[want]
		address := w.asked(bitLen)
		if !address.IsValid() {
			return
		}
		if reason := a.refusal(h, want, address); reason != "" {
			h.missing = append(h.missing, missing{want: want, bitLen: bitLen, reason: reason})
			return
		}
		a.book(h, want, HeldAddress{Address: address, Outside: a.poolOf(address) == nil})
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
	a.lacking(func(h *holding, want, bitLen int) {
		w := &h.request.Wants[want]
		if w.asked(bitLen).IsValid() {
			return // grantAsked did not, and said why
		}
		pools := a.poolsFor(w, bitLen)
		if len(pools) == 0 {
			switch {
			case w.Pool != "" && a.pool(w) == nil:
				h.missing = append(h.missing, missing{want: want, bitLen: bitLen, reason: PoolNotFound})
			case !w.Optional || bitLen == w.Families[0]:
				h.missing = append(h.missing, missing{want: want, bitLen: bitLen, reason: NoPool})
			}
			return
		}
		address := a.returned(h, want, bitLen, pools)
		if !address.IsValid() {
			address = a.joined(h, want, bitLen, pools)
		}
		for i := 0; i < len(pools) && !address.IsValid(); i++ {
			address = a.fromStock(h.request.Scope, pools[i], bitLen)
		}
		if !address.IsValid() {
			h.missing = append(h.missing, missing{want: want, bitLen: bitLen, reason: NoAddressFree})
			return
		}
		a.book(h, want, HeldAddress{Address: address})
	})
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

func (a *Allocator) inPools(pools []int, address netip.Addr) bool {
	return slices.ContainsFunc(pools, func(i int) bool { return a.in.Pools[i].Has(address) })
}

// returned finds an address that an owner gave back a short time ago.
func (a *Allocator) returned(h *holding, want, bitLen int, pools []int) netip.Addr {
	if a.freedBy == nil {
		a.freedBy = map[string][]netip.Addr{}
		for address, list := range a.freed {
			for _, f := range list {
				a.freedBy[f.Owner] = append(a.freedBy[f.Owner], address)
			}
		}
		for _, list := range a.freedBy {
			slices.SortFunc(list, netip.Addr.Compare)
		}
	}
	for _, address := range a.freedBy[h.key] {
		if address.BitLen() == bitLen && a.inPools(pools, address) && a.rival(h, want, address, true) == nil && a.taken(h.request.Scope, address) == "" {
			return address
		}
	}
	return netip.Addr{}
}

// joined finds an address of others that an owner may share.
func (a *Allocator) joined(h *holding, want, bitLen int, pools []int) (lowest netip.Addr) {
	key, shares := h.request.share(&h.request.Wants[want])
	if !shares || key.key == SharedByPorts {
		return lowest
	}
	for _, address := range a.shared[key] {
		if address.BitLen() == bitLen && (!lowest.IsValid() || address.Less(lowest)) && a.inPools(pools, address) &&
			a.rival(h, want, address, true) == nil && a.taken(h.request.Scope, address) == "" {
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
