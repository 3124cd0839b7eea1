package vips

import (
	"cmp"
	"net/netip"
	"slices"
	"strings"

	"github.com/sluice-net/sluice/control/ipam"
	"github.com/sluice-net/sluice/lb/service"
)

// Usage is how much of a pool is in use, and by whom. Counts are addresses, at most 1<<64 - 1.
type Usage struct {
	Size, Used, Free, Quarantined uint64

	Holders []Holder // sorted by address and owner
}

// Holder is who has an address, or had it a short time ago. An address that is shared has several.
type Holder struct {
	Address     netip.Addr
	Owner       service.Origin
	Quarantined bool
}

// UsageOf says how much of some ranges is in use, at a time in Unix ns. Addresses that ports, gateways or routers have
// within them count as free: they are passed over when somebody asks. a may be nil.
func UsageOf(a *Allocations, ranges []ipam.Range, now, quarantine int64) (u Usage) {
	stock := ipam.NewPool(ranges...)
	u.Size = stock.Size()
	if a == nil {
		u.Free = u.Size
		return u
	}
	for key, held := range a.Held {
		for _, x := range held.Addresses {
			if !stock.Contains(x.Address) {
				continue
			}
			u.Holders = append(u.Holders, Holder{Address: x.Address, Owner: ParseKey(key)})
			if stock.Take(x.Address) == nil {
				u.Used++
			}
		}
	}
	for _, f := range a.Freed {
		if now-f.At >= quarantine || !stock.Contains(f.Address) {
			continue
		}
		u.Holders = append(u.Holders, Holder{f.Address, ParseKey(f.Owner), true})
		if stock.Take(f.Address) == nil {
			u.Quarantined++
		}
	}
	u.Free = stock.Free()
	slices.SortFunc(u.Holders, func(a, b Holder) int {
		return cmp.Or(a.Address.Compare(b.Address), Compare(a.Owner, b.Owner))
	})
	return u
}

// ParseKey returns the owner that a Key is of.
func ParseKey(key string) (o service.Origin) {
	o.Kind, key, _ = strings.Cut(key, "/")
	o.Namespace, o.Name, _ = strings.Cut(key, "/")
	return o
}
