package vips

import (
	"cmp"
	"net/netip"
	"slices"

	"github.com/sluice-net/sluice/lb/service"
)

// Allocations are what owners have, and what they have given back of late: what an Allocator has to be told
// after a restart. They are not changed once they were handed out.
type Allocations struct {
	// Held is by Key of the owner.
	Held map[string]*Held `json:"held,omitempty"`
	// Freed are in quarantine, sorted by address.
	Freed []Freed `json:"freed,omitempty"`
}

// Held is what an owner has.
type Held struct {
	Addresses []HeldAddress `json:"addresses,omitempty"` // sorted by use, v4 before v6
	NodePorts []HeldPort    `json:"nodePorts,omitempty"` // sorted by protocol and port
}

// HeldAddress is an address that an owner has.
type HeldAddress struct {
	Use     Use        `json:"use"`
	Address netip.Addr `json:"address"`
	Pool    string     `json:"pool,omitempty"` // the Want's
	// Outside: it was in no pool when it was given.
	Outside bool `json:"outside,omitempty"`
	// Terms stand for the Share and scope that it was given under: if these change, those who share
	// it and did not change theirs keep it.
	Terms string `json:"terms,omitempty"`
}

// HeldPort is a node port that an owner has.
type HeldPort struct {
	Protocol uint8  `json:"protocol"`
	Port     uint16 `json:"port"` // of NodePort
	Number   uint16 `json:"number"`
	Scope    uint32 `json:"scope"` // in which it was given; in another one, those who have it there keep it
}

// Freed is an address that was given back.
type Freed struct {
	Address netip.Addr `json:"address"`
	Owner   string     `json:"owner"` // who had it, by Key, and may have it again at once
	At      int64      `json:"at"`    // Unix time, ns
}

// Sort puts what was read record by record in order; nothing else may have it yet.
func (a *Allocations) Sort() {
	slices.SortFunc(a.Freed, compareFreed)
	if len(a.Held) == 0 {
		a.Held = nil // as in JSON
	}
}

// Key returns the key of an owner in Allocations: KIND/NAMESPACE/NAME.
func Key(o service.Origin) string { return o.Kind + "/" + o.Namespace + "/" + o.Name }

// Equal reports whether both are the same.
func (h *Held) Equal(o *Held) bool {
	return h == o || h != nil && o != nil && slices.Equal(h.Addresses, o.Addresses) && slices.Equal(h.NodePorts, o.NodePorts)
}

func compareHeld(a, b HeldAddress) int {
	return cmp.Or(cmp.Compare(a.Use, b.Use), a.Address.Compare(b.Address))
}

func compareHeldPort(a, b HeldPort) int {
	return cmp.Or(cmp.Compare(a.Protocol, b.Protocol), cmp.Compare(a.Port, b.Port))
}

func compareFreed(a, b Freed) int {
	return cmp.Or(a.Address.Compare(b.Address), cmp.Compare(a.Owner, b.Owner))
}
