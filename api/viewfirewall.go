package api

import (
	"net/netip"
	"time"
)

// Hits are what a rule has decided since the node began, also under policies before this one.
type Hits struct {
	Packets  uint64 `json:"packets"` // of sessions that it let through, both directions; and those that it denied
	Bytes    uint64 `json:"bytes"`   // of whole frames, without FCS
	Sessions uint64 `json:"sessions"`

	LastHit    time.Time `json:"lastHit,omitzero"`            // of the last packet; absent: there was none
	LastHitAge float64   `json:"lastHitAgeSeconds,omitempty"` // how long ago that is
}

// Add adds what another rule has decided.
func (h *Hits) Add(o *Hits) {
	h.Packets += o.Packets
	h.Bytes += o.Bytes
	h.Sessions += o.Sessions
	if o.LastHit.After(h.LastHit) {
		h.LastHit, h.LastHitAge = o.LastHit, o.LastHitAge
	}
}

// RuleRef names a rule for people, and says where it comes from.
type RuleRef struct {
	ID       uint32         `json:"id"`
	Name     string         `json:"name,omitempty"` // as written, or its place: ingress[0]
	Action   SecurityAction `json:"action"`
	Category PolicyCategory `json:"category"`
	Section  string         `json:"section,omitempty"` // absent: a default rule
	Origin   *ObjectRef     `json:"origin,omitempty"`  // the object that the section is made of
}

// RuleView is a rule in force, in its place in the order of evaluation.
type RuleView struct {
	Order int `json:"order"` // the place, from 1: the first rule that matches decides
	RuleRef

	Direction            RuleDirection  `json:"direction"` // IN, OUT or IN_OUT, seen from the port that it is at
	IPProtocol           RuleIPProtocol `json:"ipProtocol"`
	Sources              []string       `json:"sources,omitempty"` // as written; absent: anybody
	SourcesExcluded      bool           `json:"sourcesExcluded,omitempty"`
	Destinations         []string       `json:"destinations,omitempty"` // as written; absent: anybody
	DestinationsExcluded bool           `json:"destinationsExcluded,omitempty"`
	Services             []string       `json:"services,omitempty"` // as written; absent: all

	// AppliedTo are the ports that the rule is at, the first few; absent: all ports. Ports is
	// how many there are.
	AppliedTo []string `json:"appliedTo,omitempty"`
	Ports     int      `json:"ports"`

	Stateless            bool              `json:"stateless,omitempty"` // replies need rules of their own
	TCPStrict            bool              `json:"tcpStrict,omitempty"`
	Established          EstablishedAction `json:"established"` // what a change does to live sessions: recheck, keep or reset
	Logged               bool              `json:"logged,omitempty"`
	Tag                  string            `json:"tag,omitempty"`                  // in the log
	MaxSessions          int               `json:"maxSessions,omitempty"`          // at a time; absent: no limit
	MaxSessionsPerSource int               `json:"maxSessionsPerSource,omitempty"` // at a time; absent: no limit
	Notes                string            `json:"notes,omitempty"`

	Hits
}

// PolicyView is a section of the firewall's policy: the rules of an object, or some of them;
// or a marker that has none.
type PolicyView struct {
	Order    int            `json:"order"` // the place among sections, from 1
	Name     string         `json:"name"`  // what users see; of a part of an object with its part: "web ingress"
	Category PolicyCategory `json:"category"`
	Sequence int64          `json:"sequence"` // within the category
	Origin   *ObjectRef     `json:"origin,omitempty"`

	// Marker: sections made of Kubernetes objects stand between two of these.
	Marker bool `json:"marker,omitempty"`

	Rules       int               `json:"rules"`
	FirstRule   uint32            `json:"firstRule,omitempty"` // its ID
	Stateless   bool              `json:"stateless,omitempty"`
	TCPStrict   bool              `json:"tcpStrict,omitempty"`
	Established EstablishedAction `json:"established"`

	Hits // of all rules
}

// GroupView is a Group with its effective members.
type GroupView struct {
	Name     string         `json:"name"`               // NAMESPACE/NAME, or NAME without a namespace
	Ports    []GroupPort    `json:"ports,omitempty"`    // in order of names
	Prefixes []netip.Prefix `json:"prefixes,omitempty"` // addresses that belong to it, whoever has them
	MACs     []MAC          `json:"macs,omitempty"`
	UsedBy   []GroupUse     `json:"usedBy,omitempty"`   // in order of evaluation
	Warnings []string       `json:"warnings,omitempty"` // what is probably not meant
}

// GroupPort is a port or pod that is a member.
type GroupPort struct {
	Name      string       `json:"name"`
	Addresses []netip.Addr `json:"addresses,omitempty"` // none: rules by address never match it
}

// GroupUse is a rule that names a group, and where: source, destination or appliedTo.
type GroupUse struct {
	RuleRef
	As []string `json:"as"`
}

// PortFirewall is what the firewall does at a port.
type PortFirewall struct {
	Filtered bool   `json:"filtered"`
	Reason   string `json:"reason,omitempty"` // why not, if it does nothing

	Default SecurityAction `json:"default,omitempty"` // what becomes of packets that no rule matches

	TimerProfile string     `json:"timerProfile,omitempty"` // of its sessions; absent: the node's timers
	FloodProfile string     `json:"floodProfile,omitempty"` // absent: no caps
	FloodCaps    *FloodCaps `json:"floodCaps,omitempty"`
}

// FloodCaps are how many sessions there may be at a time. Absent is no limit.
type FloodCaps struct {
	HalfOpenTCP int `json:"halfOpenTCP,omitempty"`
	UDP         int `json:"udp,omitempty"`
	ICMP        int `json:"icmp,omitempty"`
	Other       int `json:"other,omitempty"`

	SYNCache    bool `json:"synCache,omitempty"`
	RSTSpoofing bool `json:"rstSpoofing,omitempty"` // protection against it
}
