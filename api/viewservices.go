package api

import (
	"net/netip"
	"time"
)

// ServiceState says whether connections to a virtual server, or to a pool, find somebody.
type ServiceState string

// The states of virtual servers and pools.
const (
	ServiceUp          ServiceState = "UP"           // all members that should be there are
	ServicePartiallyUp ServiceState = "PARTIALLY_UP" // connections find somebody; some member, address or the pool itself does not do
	ServiceDown        ServiceState = "DOWN"         // nobody takes connections
	ServiceDisabled    ServiceState = "DISABLED"     // by its administrator
	ServicePending     ServiceState = "PENDING"      // it has no address yet
)

// Values lists the states.
func (ServiceState) Values() []string {
	return []string{string(ServiceUp), string(ServicePartiallyUp), string(ServiceDown), string(ServiceDisabled), string(ServicePending)}
}

// VirtualServerView is a virtual server: a VirtualServer, or a port of a Service.
type VirtualServerView struct {
	Name   string    `json:"name"` // NAMESPACE/NAME, or NAMESPACE/NAME:PORT for a port of a Service that has a name
	ID     uint32    `json:"id"`   // in flow records
	Origin ObjectRef `json:"origin"`

	State  ServiceState `json:"state"`
	Reason string       `json:"reason,omitempty"` // if the state is not UP

	Protocol  string         `json:"protocol,omitempty"` // TCP, UDP or SCTP
	Frontends []FrontendView `json:"frontends,omitempty"`

	Pool      string           `json:"pool,omitempty"`      // of the first frontend
	SorryPool string           `json:"sorryPool,omitempty"` // takes connections while the pool has nobody
	Algorithm string           `json:"algorithm,omitempty"` // of the pool
	Affinity  *PersistenceView `json:"persistence,omitempty"`

	// SourceTranslation is what becomes of the client's address: AS_NEEDED, DISABLED, AUTOMAP or IP_POOL.
	SourceTranslation string `json:"sourceTranslation"`
	SourcePool        string `json:"sourcePool,omitempty"` // with IP_POOL
	Dispatch          string `json:"dispatch"`             // how packets get to members: NAT, DSR_L2 or DSR_IPIP

	AllowedSources []netip.Prefix `json:"allowedSources,omitempty"` // absent: everybody may connect
	DeniedSources  []netip.Prefix `json:"deniedSources,omitempty"`
	MaxConnections uint32         `json:"maxConnections,omitempty"` // at a time; absent: no limit
	MaxRate        uint32         `json:"maxRate,omitempty"`        // new ones per second; absent: no limit

	Members   int `json:"members"`   // of the pool
	MembersUp int `json:"membersUp"` // of these, those that would be given a connection now

	Connections ConnectionCounts `json:"connections"`
	Denied      uint64           `json:"denied"`    // connections from clients that may not use it
	NoBackend   uint64           `json:"noBackend"` // connections that found no member
	Original    Traffic          `json:"original"`  // from clients
	Reply       Traffic          `json:"reply"`     // to clients
}

// FrontendView is an address at which a virtual server listens.
type FrontendView struct {
	Kind    string     `json:"kind"` // Virtual, ClusterIP, ExternalIP, LoadBalancer or NodePort
	Address netip.Addr `json:"address"`
	Ports   string     `json:"ports"` // "80", "8000-8010"; "*": all
	// InsidePool takes connections from segments, OutsidePool those from uplinks.
	InsidePool  string `json:"insidePool"`
	OutsidePool string `json:"outsidePool"`
	Restricted  bool   `json:"restricted,omitempty"` // allowedSources hold
}

// PersistenceView says that a client's connections go to the member that had its last one.
type PersistenceView struct {
	Type    string  `json:"type"`              // SOURCE_IP
	Timeout float64 `json:"timeoutSeconds"`    // since the last connection
	NoPurge bool    `json:"noPurge,omitempty"` // a client that there is no room for has none; else the oldest gives way
}

// ConnectionCounts are connections to a virtual server or member.
type ConnectionCounts struct {
	Active  int64  `json:"active"`  // now
	Total   uint64 `json:"total"`   // begun
	Refused uint64 `json:"refused"` // for want of room, or by a limit
	// Rate is new ones per second, over the last 5 seconds.
	Rate float64 `json:"rate"`
}

// LBPoolView is a pool of members.
type LBPoolView struct {
	Name   string    `json:"name"` // of a Service's port: the virtual server's; of what a traffic policy leaves of it with that behind: "web (local)"
	ID     uint32    `json:"id"`
	Origin ObjectRef `json:"origin"`

	State  ServiceState `json:"state"`
	Reason string       `json:"reason,omitempty"`

	Algorithm      string           `json:"algorithm"`
	Members        int              `json:"members"`
	MembersUp      int              `json:"membersUp"` // those that would be given a connection now
	MinActive      int              `json:"minActiveMembers"`
	BackupsActive  bool             `json:"backupsActive,omitempty"` // fewer than that many others are up: backups take part
	LastResort     bool             `json:"lastResort,omitempty"`    // only members that are draining are left, and take connections
	Monitors       []string         `json:"monitors,omitempty"`      // NAME (TYPE): all of which a member has to pass
	Passive        *PassiveView     `json:"passiveMonitor,omitempty"`
	SlowStart      float64          `json:"slowStartSeconds,omitempty"`
	VirtualServers []string         `json:"virtualServers,omitempty"` // that use it
	SorryPoolOf    []string         `json:"sorryPoolOf,omitempty"`
	MaxConnections uint32           `json:"maxConnections,omitempty"` // of each member that has no number of its own
	Connections    ConnectionCounts `json:"connections"`              // of its members, also by other pools
}

// PassiveView takes a member out of service for what connections to it did.
type PassiveView struct {
	MaxFails int     `json:"maxFails"` // failed connections within the timeout
	Timeout  float64 `json:"timeoutSeconds"`
}

// MemberState is how a member does, in one word.
type MemberState string

// The states of members.
const (
	MemberUp          MemberState = "UP"          // its monitors say so
	MemberDown        MemberState = "DOWN"        // likewise
	MemberFailing     MemberState = "FAILING"     // connections to it failed: it is left alone for a time
	MemberUnknown     MemberState = "UNKNOWN"     // no monitor has passed so far: it takes no connections
	MemberUnmonitored MemberState = "UNMONITORED" // taken to be up
	MemberDraining    MemberState = "DRAINING"    // GRACEFUL_DISABLED, or terminating: its connections live on
	MemberDisabled    MemberState = "DISABLED"
)

// Values lists the states.
func (MemberState) Values() []string {
	return []string{
		string(MemberUp), string(MemberDown), string(MemberFailing), string(MemberUnknown), string(MemberUnmonitored), string(MemberDraining), string(MemberDisabled),
	}
}

// LBMemberView is a member of a pool, or of several pools of one object.
type LBMemberView struct {
	Name   string    `json:"name"` // the display name, or the pod's; else ADDRESS:PORT
	ID     uint32    `json:"id"`   // in flow records
	Pool   string    `json:"pool"`
	Pools  []string  `json:"pools,omitempty"` // all, if it is in several
	Origin ObjectRef `json:"origin"`          // of the pool

	Address netip.Addr `json:"address"`
	Port    uint16     `json:"port,omitempty"`       // absent: that to which the client connects
	At      string     `json:"switchPort,omitempty"` // the switch's port or the pod that has the address, if it is on this node
	Weight  uint16     `json:"weight"`
	Backup  bool       `json:"backup,omitempty"`
	Local   bool       `json:"local"` // on one of this node's segments

	AdminState  string `json:"adminState"`            // ENABLED, GRACEFUL_DISABLED or DISABLED
	AdminReason string `json:"adminReason,omitempty"` // where that is from, if from no administrator: "terminating", "not ready", …

	State  MemberState `json:"state"`
	Health string      `json:"health"`                     // what monitors say: UP, DOWN, UNKNOWN or UNMONITORED
	Since  time.Time   `json:"since,omitzero"`             // when that changed last
	For    float64     `json:"healthAgeSeconds,omitempty"` // how long ago that is
	// Eligible: a new connection may be given to it. Reason says why not, or how it is that it may.
	Eligible bool   `json:"eligible"`
	Reason   string `json:"reason,omitempty"`

	MaxConnections uint32           `json:"maxConnections,omitempty"`
	Connections    ConnectionCounts `json:"connections"`
	Original       Traffic          `json:"original"` // to the member
	Reply          Traffic          `json:"reply"`    // from it

	History []HealthChange `json:"history,omitempty"` // the last ones, oldest first
}

// HealthChange is when what monitors say of a member changed, to what, and why.
type HealthChange struct {
	Time   time.Time `json:"time"`
	Health string    `json:"health"`
	Reason string    `json:"reason,omitempty"`
}

// NATRuleView is a rule that translates addresses at the edge of a router, in its place in the order of evaluation.
type NATRuleView struct {
	Order  int       `json:"order"` // the place, from 1
	Name   string    `json:"name"`
	ID     uint32    `json:"id"` // in flow records
	Origin ObjectRef `json:"origin"`

	Router   string   `json:"router,omitempty"`
	Priority int      `json:"priority"`
	Action   string   `json:"action"`            // SNAT, DNAT, NO_SNAT, NO_DNAT or REFLEXIVE
	Uplinks  []string `json:"uplinks,omitempty"` // ports at which it holds; absent: all of the router

	Protocol      string         `json:"protocol,omitempty"`     // absent: all
	Sources       []netip.Prefix `json:"sources,omitempty"`      // absent: all
	SourcePorts   []string       `json:"sourcePorts,omitempty"`  // absent: all
	Destinations  []netip.Prefix `json:"destinations,omitempty"` // absent: all; before DNAT
	Ports         []string       `json:"ports,omitempty"`        // absent: all; of the destination, before DNAT
	To            string         `json:"to,omitempty"`           // what is put in the place: a network, ADDRESS:PORT, a pool's name
	FirewallMatch string         `json:"firewallMatch"`
	Logged        bool           `json:"logged,omitempty"`

	Hits         uint64          `json:"hits"`           // sessions that it was chosen for
	Translations int             `json:"translations"`   // sessions that it translates now; with a pool, all that have an address of that
	Pool         *SourcePoolView `json:"pool,omitempty"` // of SNAT
}

// SourcePoolView is a stock of addresses and ports that sources are translated to.
type SourcePoolView struct {
	Name      string   `json:"name"`
	Addresses []string `json:"addresses"` // the first few
	Size      int      `json:"size"`      // addresses
	Ports     string   `json:"ports"`     // that are given out, of each address and protocol

	// PerDestination: a port is in use only toward where it is used, so that all are free elsewhere.
	PerDestination bool `json:"perDestination,omitempty"`

	Sessions  int64             `json:"sessions"`  // that have an address of it
	Free      int               `json:"free"`      // address and port pairs, of the protocol that has the fewest left
	Exhausted uint64            `json:"exhausted"` // sessions that found none
	Protocols []SourcePoolPorts `json:"protocols,omitempty"`
}

// SourcePoolPorts is how much of a pool a protocol has in use: ports, of ICMP identifiers.
type SourcePoolPorts struct {
	Protocol  string `json:"protocol"` // tcp, udp, sctp, icmp
	Ports     int    `json:"ports"`    // that there are
	InUse     int    `json:"inUse"`
	Free      int    `json:"free"`
	Exhausted uint64 `json:"exhausted"` // sessions that found none
}
