package vips

import (
	"maps"
	"net/netip"
	"slices"

	"github.com/sluice-net/sluice/control/ipam"
	"github.com/sluice-net/sluice/lb/service"
)

// Allocate is as Allocator.Allocate without an Allocator.
func Allocate(in Input) *Result { return New().Allocate(in) }

// Allocator allocates again and again, and does only what has changed: a request
// that is there again and has all that it asks for is not looked into. What it returns depends on the
// Input alone, whatever came before.
//
// An Allocator is for one goroutine at a time.
type Allocator struct {
	in    Input        // of the last run
	last  *Allocations // that were handed out last
	owned []*holding   // of the last run's Requests, sorted by Compare

	at     map[netip.Addr][]spot     // who has an address
	shared map[shareKey][]netip.Addr // addresses that somebody has under a key, once for each who does
	ports  map[portSpace]*portBook   // node ports that somebody has
	freed  map[netip.Addr][]Freed    // in quarantine: nobody has them
	stocks []*ipam.Pool              // by index in in.Pools: what is free of it; nil: not known yet
	passed []netip.Addr              // left out of stocks as Taken

	// Of one run:
	work      []*holding
	freedNew  bool
	shortages map[string]string // messages of exhausted pools
}

// holding is what an owner has, and asks for.
type holding struct {
	request *Request
	key     string
	had     *Held // in the Allocations before
	has     Held
	grant   *Grant
	kept    bool // its terms are those under which it was given what it has

	waits     bool // something is missing: it is looked into each time
	contested bool // somebody who is no owner has an address of it

	missing []missing // in this run
}

// spot is an address that somebody has by one of his wants.
type spot struct {
	h    *holding
	want int
}

type shareKey struct {
	scope       uint32
	key, policy string
}

// New returns an Allocator that has allocated nothing yet.
func New() *Allocator { return &Allocator{} }

// Allocate says who has what, now.
func (a *Allocator) Allocate(in Input) *Result {
	if in.Previous == nil {
		in.Previous = &Allocations{}
	}
	if in.NodePorts == (service.PortRange{}) {
		in.NodePorts = DefaultNodePorts
	}
	asGiven := in.Requests
	byOwner := func(x, y *Request) int { return Compare(x.Owner, y.Owner) }
	sorted := slices.IsSortedFunc(in.Requests, byOwner)
	if !sorted {
		in.Requests = slices.Clone(in.Requests)
		slices.SortStableFunc(in.Requests, byOwner)
	}
	a.freedNew, a.shortages = false, nil
	a.work = a.work[:0]

	gone := a.take(in)
	a.expire()
	a.keep()
	a.release(gone)
	a.grantReturned()
	a.grantAsked()
	a.grantAny()
	a.grantNodePorts()
	for _, h := range a.work {
		a.conclude(h)
	}
	a.last = a.allocations(gone)

	result := &Result{Grants: make([]*Grant, len(asGiven)), Allocations: a.last, RetryAt: a.retryAt()}
	for i, h := range a.owned {
		result.Grants[i] = h.grant
	}
	if !sorted {
		grants := make(map[*Request]*Grant, len(asGiven))
		for _, h := range a.owned {
			grants[h.request] = h.grant
		}
		for i, r := range asGiven {
			result.Grants[i] = grants[r]
		}
	}
	return result
}

// take compares an Input with the one before: what is to be looked into is work afterwards, and booked nowhere.
// It returns those who ask for nothing any more.
func (a *Allocator) take(in Input) (gone []*holding) {
	anew := a.last == nil || in.Previous != a.last || in.NodePorts != a.in.NodePorts || !equalPools(in.Pools, a.in.Pools)
	retaken := in.TakenRun == 0 || in.TakenRun != a.in.TakenRun
	before := a.owned
	a.in = in
	if anew {
		a.reset()
	} else if retaken {
		a.unpass()
	}

	after := make([]*holding, 0, len(in.Requests))
	lose := func(h *holding) {
		if !anew {
			a.unbook(h)
			gone = append(gone, h)
		}
	}
	for _, r := range in.Requests {
		for len(before) > 0 && Compare(before[0].request.Owner, r.Owner) < 0 {
			lose(before[0])
			before = before[1:]
		}
		var h *holding
		known := len(before) > 0 && before[0].request.Owner == r.Owner
		if known {
			h, before = before[0], before[1:]
		} else {
			h = &holding{request: r, key: Key(r.Owner)}
		}
		after = append(after, h)
		switch {
		case anew:
			if h.had = in.Previous.Held[h.key]; h.had == nil {
				h.had = &Held{}
			}
		case !known:
			h.had = &Held{}
		case h.request == r && !h.waits && (!retaken || a.contested(h) == h.contested && !h.contested):
			continue
		default:
			a.unbook(h)
		}
		h.request = r
		a.work = append(a.work, h)
	}
	for _, h := range before {
		lose(h)
	}
	a.owned = after
	if anew && len(in.Previous.Held) > 0 {
		gone = a.unclaimed()
	}
	return gone
}

// unclaimed returns, after a.owned is known, the holdings in Previous that nobody asks for, in any order.
func (a *Allocator) unclaimed() (gone []*holding) {
	claimed := make(map[string]bool, len(a.owned))
	for _, h := range a.owned {
		claimed[h.key] = true
	}
	for key, held := range a.in.Previous.Held {
		if held == nil {
			held = &Held{}
		}
		if !claimed[key] {
			gone = append(gone, &holding{key: key, had: held})
		}
	}
	return gone
}

// reset forgets who has what.
func (a *Allocator) reset() {
	a.at = make(map[netip.Addr][]spot, len(a.in.Requests))
	a.shared = map[shareKey][]netip.Addr{}
	a.ports = map[portSpace]*portBook{}
	a.freed = make(map[netip.Addr][]Freed, len(a.in.Previous.Freed))
	for _, f := range a.in.Previous.Freed {
		a.freed[f.Address] = append(a.freed[f.Address], f)
	}
	a.stocks = make([]*ipam.Pool, len(a.in.Pools))
	a.passed = nil
}

func equalPools(a, b []Pool) bool {
	return slices.EqualFunc(a, b, func(x, y Pool) bool {
		return x.Name == y.Name && x.Use == y.Use && slices.Equal(x.Ranges, y.Ranges)
	})
}

// contested reports whether somebody who is no owner has an address of a holding.
func (a *Allocator) contested(h *holding) bool {
	return slices.ContainsFunc(h.has.Addresses, func(x HeldAddress) bool { return a.taken(h.request.Scope, x.Address) != "" })
}

func (a *Allocator) taken(scope uint32, address netip.Addr) string {
	if a.in.Taken == nil {
		return ""
	}
	return a.in.Taken(scope, address)
}

// conclude says what has come of a request.
func (a *Allocator) conclude(h *holding) {
	slices.SortFunc(h.has.Addresses, compareHeld)
	slices.SortFunc(h.has.NodePorts, compareHeldPort)
	grant := &Grant{Owner: h.request.Owner}
	for i := range h.request.Wants {
		grant.Addresses = append(grant.Addresses, h.addresses(i))
	}
	for _, want := range h.request.NodePorts {
		grant.NodePorts = append(grant.NodePorts, h.nodePort(want))
	}
	for _, m := range h.missing {
		grant.Problems = append(grant.Problems, a.problem(h, m))
	}
	h.waits = len(h.missing) > 0
	h.contested = a.contested(h)
	grant.Problems = append(grant.Problems, a.warnings(h)...)
	if h.grant == nil || !h.grant.equal(grant) {
		h.grant = grant
	}
	h.missing = nil
}

// addresses returns what a holding has for one of its wants.
func (h *holding) addresses(want int) (list []netip.Addr) {
	w := &h.request.Wants[want]
	for i := range w.items {
		for _, x := range h.has.Addresses {
			if x.Use == w.Use && i.fits(x.Address) && !slices.Contains(list, x.Address) {
				list = append(list, x.Address)
			}
		}
	}
	return list
}

func (g *Grant) equal(o *Grant) bool {
	return g.Owner == o.Owner && slices.EqualFunc(g.Addresses, o.Addresses, slices.Equal) &&
		slices.Equal(g.NodePorts, o.NodePorts) && slices.Equal(g.Problems, o.Problems)
}

// allocations returns what to hand to the next run.
func (a *Allocator) allocations(gone []*holding) *Allocations {
	previous := a.in.Previous
	held := previous.Held
	var changed []*holding
	for _, h := range a.work {
		if now := len(h.has.Addresses)+len(h.has.NodePorts) > 0; !h.has.Equal(h.had) || now != (previous.Held[h.key] != nil) {
			h.had = &Held{slices.Clone(h.has.Addresses), slices.Clone(h.has.NodePorts)}
			changed = append(changed, h)
		}
	}
	if len(changed)+len(gone) > 0 {
		held = make(map[string]*Held, len(previous.Held)+len(changed))
		maps.Copy(held, previous.Held)
		for _, h := range gone {
			delete(held, h.key)
		}
		for _, h := range changed {
			if len(h.has.Addresses)+len(h.has.NodePorts) > 0 {
				held[h.key] = h.had
			} else {
				delete(held, h.key)
			}
		}
	}
	freed := previous.Freed
	if a.freedNew {
		freed = nil
		for _, list := range a.freed {
			freed = append(freed, list...)
		}
		slices.SortFunc(freed, compareFreed)
	}
	if len(changed)+len(gone) == 0 && !a.freedNew {
		return previous
	}
	if len(held) == 0 {
		held = nil // as JSON has it
	}
	return &Allocations{held, freed}
}

// retryAt returns when the first quarantine ends that somebody may wait for.
func (a *Allocator) retryAt() (at int64) {
	if len(a.freed) == 0 || !slices.ContainsFunc(a.work, (*holding).waitsForTime) {
		return 0
	}
	for _, list := range a.freed {
		for _, f := range list {
			if end := f.At + a.in.Quarantine; at == 0 || end < at {
				at = end
			}
		}
	}
	return at
}

func (h *holding) waitsForTime() bool {
	return slices.ContainsFunc(h.grant.Problems, func(p Problem) bool {
		return p.Reason == NoAddressFree || p.Reason == AddressQuarantine
	})
}
