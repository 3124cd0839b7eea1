package api

import "net/netip"

// VirtualServer takes connections to addresses and ports of its own and gives each to a member of a
// Pool, without Kubernetes' Services. What of its router's segments and uplinks is sent to one of its addresses
// comes to it; of two that listen at one port of an address the second is refused.
//
// A Pool, Monitor, IPPool or Group that it names is "NAME", of the own namespace or else without one, or
// "NAMESPACE/NAME".
type VirtualServer struct {
	TypeMeta   `json:",inline"`
	ObjectMeta `json:"metadata"`
	Spec       VirtualServerSpec `json:"spec,omitzero" required:"true"`
}

// VirtualServerSpec is the desired state of a virtual server.
type VirtualServerSpec struct {
	// Router is the Router in whose address space it is, and which answers for its addresses by ARP and
	// ND. Default "default".
	Router string `json:"router,omitempty" default:"default"`

	// Addresses are where it listens, one of IPv4, one of IPv6, or both; each family goes to members of the same one.
	// Default: they are allocated from an IPPool with usage vips, and kept.
	Addresses []netip.Addr `json:"addresses,omitempty" max:"2"`

	// IPFamilies are those of addresses that are allocated: IPv4, IPv6 or both. Not with addresses.
	// Default: IPv4.
	IPFamilies []IPFamily `json:"ipFamilies,omitempty" max:"2"`

	// IPPool is the IPPool with usage vips that addresses are of. Default: any that has one left, in order of names; those
	// that are written may be of none.
	IPPool string `json:"ipPool,omitempty"`

	// AllowSharedAddress is a word: virtual servers, and Services with the same one in the annotation
	// sluice.dev/allow-shared-ip, may have one address, if no two listen at one port of it. Default: an address
	// that is allocated is its own; one that is written is shared with the virtual servers that write it, too.
	AllowSharedAddress string `json:"allowSharedAddress,omitempty"`

	// Protocol is TCP (default), UDP or SCTP.
	Protocol L4Protocol `json:"protocol,omitempty" default:"TCP"`

	// Ports are ports and ranges at which it listens: "80", "8000-8010". 1 to 65535, at least one.
	Ports []string `json:"ports" required:"true" max:"64"`

	// DefaultPoolMemberPorts are where members listen that name no port: one for all of ports, or one for each
	// of them in the same order. A range goes to itself or to one port. Default: the port that the client connects to.
	DefaultPoolMemberPorts []string `json:"defaultPoolMemberPorts,omitempty" max:"64"`

	// Pool is who takes its connections.
	Pool string `json:"pool" required:"true"`

	// SorryPool takes them when nobody of pool can. Default none.
	SorryPool string `json:"sorryPool,omitempty"`

	// Enabled is whether it takes connections; if not, its addresses stay its own. Default true.
	Enabled *bool `json:"enabled,omitempty" default:"true"`

	// Persistence has a client's connections go to one member. Default: each goes where the pool's algorithm says.
	Persistence *Persistence `json:"persistence,omitempty"`

	// MaxConcurrentConnections is the most connections at a time. 0..4294967295, default 0: no limit.
	MaxConcurrentConnections int64 `json:"maxConcurrentConnections,omitempty" min:"0" max:"4294967295"`

	// MaxNewConnectionRate is the most new connections per second. 0..4294967295, default 0: no limit.
	MaxNewConnectionRate int64 `json:"maxNewConnectionRate,omitempty" min:"0" max:"4294967295"`

	// AccessListControl says which clients may connect. Default: all.
	AccessListControl *AccessListControl `json:"accessListControl,omitempty"`

	// AccessLogEnabled writes a line for each connection when it ends. Default false.
	AccessLogEnabled bool `json:"accessLogEnabled,omitempty"`

	// Dispatch is how packets get to members. NAT (default): to the member's address and port, and answers
	// back through this node. DSR_L2 and DSR_IPIP leave them as they are, so that members, which have the virtual server's
	// address on a loopback device, answer clients themselves: DSR_L2 sends them to the member's MAC address, on a segment of
	// the router; DSR_IPIP in an IP packet to the member (RFC 2003, RFC 2473).
	Dispatch Dispatch `json:"dispatch,omitempty" default:"NAT"`
}

// IPFamily is a version of IP.
type IPFamily string

// The families.
const (
	FamilyIPv4 IPFamily = "IPv4"
	FamilyIPv6 IPFamily = "IPv6"
)

// Values lists the allowed values.
func (IPFamily) Values() []string { return []string{string(FamilyIPv4), string(FamilyIPv6)} }

// Persistence is a client's stay with a member.
type Persistence struct {
	// Type is what a client is known by: SOURCE_IP (default), its address.
	Type PersistenceType `json:"type,omitempty" default:"SOURCE_IP"`

	// TimeoutSeconds is how long it is remembered after its last connection. Seconds, 1..2147483, default 300.
	TimeoutSeconds int `json:"timeoutSeconds,omitempty" min:"1" max:"2147483" default:"300"`

	// Purge is what happens when there is no room for another client: FULL (default), the one that was not heard
	// of for the longest time is forgotten; NO_PURGE, the new one is not remembered.
	Purge PurgePolicy `json:"purge,omitempty" default:"FULL"`

	// SharedBy is a word: virtual servers with the same one, and the same pool, send a client to the same member.
	// Default: nobody shares.
	SharedBy string `json:"sharedBy,omitempty"`
}

// PersistenceType is what a client is known by.
type PersistenceType string

// The types of persistence.
const PersistenceSourceIP PersistenceType = "SOURCE_IP"

// Values lists the allowed values.
func (PersistenceType) Values() []string { return []string{string(PersistenceSourceIP)} }

// PurgePolicy is what happens when there is no room for another client.
type PurgePolicy string

// The purge policies.
const (
	PurgeFull PurgePolicy = "FULL"
	PurgeNone PurgePolicy = "NO_PURGE"
)

// Values lists the allowed values.
func (PurgePolicy) Values() []string { return []string{string(PurgeFull), string(PurgeNone)} }

// AccessListControl allows some clients, or refuses some. Firewall rules, which are asked after it, can do more.
type AccessListControl struct {
	// Action is ALLOW, and no others may connect, or DROP, and all others may.
	Action AccessAction `json:"action" required:"true"`

	// Enabled is whether this holds. Default true.
	Enabled *bool `json:"enabled,omitempty" default:"true"`

	// Networks are clients' addresses and networks.
	Networks []Network `json:"networks,omitempty" max:"4096"`

	// Group is a Group of clients: its addresses, and those of its ports. Default none; one of networks and
	// group is needed.
	Group string `json:"group,omitempty"`
}

// AccessAction is what an access list does with those on it.
type AccessAction string

// The access actions.
const (
	AccessAllow AccessAction = "ALLOW"
	AccessDrop  AccessAction = "DROP"
)

// Values lists the allowed values.
func (AccessAction) Values() []string { return []string{string(AccessAllow), string(AccessDrop)} }

// Dispatch is how packets get to members.
type Dispatch string

// The ways.
const (
	DispatchNAT     Dispatch = "NAT"
	DispatchDSRL2   Dispatch = "DSR_L2"
	DispatchDSRIPIP Dispatch = "DSR_IPIP"
)

// Values lists the allowed values.
func (Dispatch) Values() []string {
	return []string{string(DispatchNAT), string(DispatchDSRL2), string(DispatchDSRIPIP)}
}
