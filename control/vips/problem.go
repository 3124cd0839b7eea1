package vips

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/sluice-net/sluice/control/ipam"
)

// missing is what a holding asks for and was not given.
type missing struct {
	nodePort bool
	want     int // index in Request.Wants or NodePorts
	item     item
	reason   Reason
}

// familyNames are those of addresses with so many bits.
var familyNames = map[int]string{32: "IPv4", 128: "IPv6"}

// poolUsages are what users call the Uses in an IPPool.
var poolUsages = map[Use]string{Virtual: "vips", Cluster: "clusterips", Source: "snat"}

// problem says of what is missing why it is, and what to do about it.
func (a *Allocator) problem(h *holding, m missing) Problem {
	if m.nodePort {
		return a.portProblem(h, m)
	}
	w := &h.request.Wants[m.want]
	p := Problem{Use: w.Use, Reason: m.reason}
	asked, bitLen := m.item.asked, m.item.bitLen
	if p.Reason == AddressQuarantine && len(a.freed[asked]) == 0 {
		p.Reason = AddressTaken // its owner has taken it back meanwhile
	}
	switch p.Reason {
	case NoPool:
		p.Message = "there is no IPPool with usage " + poolUsages[w.Use] + " and " + familyNames[bitLen] + " addresses: add one"
		if w.Pool != "" {
			p.Message = "IPPool " + w.Pool + " has no " + familyNames[bitLen] + " addresses: add a range to it"
		}
	case PoolNotFound:
		p.Message = "there is no IPPool " + w.Pool + " with usage " + poolUsages[w.Use]
		if names := a.poolNames(w.Use); names != "" {
			p.Message += "; those there are: " + names
		}
	case NoAddressFree:
		p.Message = a.shortage(w, bitLen)
	case AddressTaken:
		p.Message = asked.String() + " belongs to " + a.taken(h.request.Scope, asked)
		if r := a.rival(h, m.want, asked, true); r != nil {
			p.Message = asked.String() + " belongs to " + r.request.Owner.String() + a.unshared(h, r, m.want, asked)
		}
	case AddressQuarantine:
		f := a.freed[asked][0]
		owner, _, _ := strings.Cut(f.Owner, "/")
		p.Message = fmt.Sprintf("%s belonged to %s %s and is in quarantine until %s (NodeConfig, spec.ipReallocationTime)", asked,
			owner, strings.TrimPrefix(f.Owner[len(owner):], "/"), time.Unix(0, f.At+a.in.Quarantine).UTC().Format(time.RFC3339))
	case AddressOutside:
		p.Message = asked.String() + " is in no IPPool with usage " + poolUsages[w.Use] + ": add it to one, or ask for none"
		if w.Pool != "" {
			p.Message = asked.String() + " is not in IPPool " + w.Pool + ": add it there, or ask for another"
		}
	}
	return p
}

func (a *Allocator) poolNames(u Use) string {
	var names []string
	for i := range a.in.Pools {
		if p := &a.in.Pools[i]; p.Use == u {
			names = append(names, p.Name)
		}
	}
	return strings.Join(names, ", ")
}

// unshared says why an address is not shared with who has it.
func (a *Allocator) unshared(h, rival *holding, want int, address netip.Addr) string {
	mine := &h.request.Wants[want]
	for _, s := range a.at[address] {
		if s.h != rival {
			continue
		}
		theirs := &rival.request.Wants[s.want]
		switch {
		case mine.Share == nil || mine.Use != theirs.Use || h.request.Scope != rival.request.Scope:
			return ""
		case theirs.Share == nil || theirs.Share.Key != mine.Share.Key:
			return ", which does not share it: both need the same annotation sluice.dev/allow-shared-ip"
		case theirs.Share.Policy != mine.Share.Policy:
			return ", whose members are others: only with externalTrafficPolicy Cluster, or the same selector, an address can be shared"
		default:
			return ", and both want a port of it"
		}
	}
	return ""
}

// shortage says how the pools of a want are used up.
func (a *Allocator) shortage(w *Want, bitLen int) string {
	cached := string(w.Use) + "/" + w.Pool + "/" + strconv.Itoa(bitLen)
	if text, found := a.shortages[cached]; found {
		return text
	}
	var size, quarantined uint64
	var names []string
	for _, i := range a.poolsFor(w, bitLen) {
		p := &a.in.Pools[i]
		names = append(names, p.Name)
		size += sizeOf(p.Ranges, bitLen)
		for address := range a.freed {
			if address.BitLen() == bitLen && p.Has(address) {
				quarantined++
			}
		}
	}
	noun := "pool "
	if len(names) > 1 {
		noun = "pools "
	}
	text := fmt.Sprintf("no address is free in %s%s: %d %s addresses, %d in quarantine", noun, strings.Join(names, ", "), size, familyNames[bitLen], quarantined)
	if a.shortages == nil {
		a.shortages = map[string]string{}
	}
	a.shortages[cached] = text
	return text
}

// sizeOf counts the addresses of a family in ranges that don't overlap.
func sizeOf(ranges []ipam.Range, bitLen int) uint64 {
	var set ipam.Set
	for _, r := range ranges {
		if r.First.BitLen() == bitLen {
			set.Add(r)
		}
	}
	return set.Size()
}

func (a *Allocator) portProblem(h *holding, m missing) Problem {
	want := h.request.NodePorts[m.want]
	r := a.in.NodePorts
	p := Problem{Reason: m.reason}
	switch m.reason {
	case NodePortTaken:
		p.Message = fmt.Sprintf("node port %d belongs to %s", want.Number, a.space(h, want.Protocol).owner[want.Number].request.Owner)
	case NodePortOutside:
		p.Message = fmt.Sprintf("node port %d is not between %d and %d", want.Number, r.First, r.Last)
	case NoNodePortFree:
		p.Message = fmt.Sprintf("no node port is free: there are %d, from %d to %d", int(r.Last)-int(r.First)+1, r.First, r.Last)
	}
	return p
}

// warnings says what is not as it should be with what a holding has.
func (a *Allocator) warnings(h *holding) (list []Problem) {
	for _, x := range h.has.Addresses {
		pool := a.poolOf(x.Address)
		if !x.Outside && (pool == nil || pool.Use != x.Use) {
			list = append(list, Problem{
				Use: x.Use, Reason: HeldOutsidePools, Warning: true,
				Message: x.Address.String() + " is in no IPPool with usage " + poolUsages[x.Use] + " any more; it is kept until its owner gives it back",
			})
		}
		if by := a.taken(h.request.Scope, x.Address); by != "" {
			list = append(list, Problem{
				Use: x.Use, Reason: HeldByOthersToo, Warning: true,
				Message: x.Address.String() + " belongs to " + by + " too: give that another address",
			})
		}
	}
	return list
}
