package api

import "net/netip"

// SegmentDHCP is what workloads on a segment are told by DHCP. There is no
// range of addresses and no lease database: who asks gets the address that is bound
// to its port and MAC, always the same one. A port without such an address
// gets no answer.
//
// The settings other than Enabled hold for DHCPv6 too, where routerAdvertisement
// has a mode with it.
type SegmentDHCP struct {
	// Enabled answers DHCPv4 clients on the segment, which needs an IPv4 subnet.
	// The server's address is the subnet's gateway. Default false. Requests are
	// then not flooded: another server on the segment does not see them.
	Enabled bool `json:"enabled,omitempty"`

	// LeaseSeconds is how long an address may be used before it is asked for
	// again; clients do so after half of it. Seconds, 60..31536000, default 86400.
	LeaseSeconds int `json:"leaseSeconds,omitempty" min:"60" max:"31536000" default:"86400"`

	// DNSNameservers are told to IPv4 clients by DHCP (option 6), and to IPv6 hosts
	// unless routerAdvertisement has its own: each host is told those of its IP
	// version. At most 8; default those of the IPPool that the subnet lies in.
	DNSNameservers []netip.Addr `json:"dnsNameservers,omitempty" max:"8"`

	// DomainName is the clients' own domain (option 15). Default the dnsSuffix
	// of the IPPool that the subnet lies in, or none.
	DomainName string `json:"domainName,omitempty"`

	// SearchDomains complete names that are not full (option 119, RFC 3397). At
	// most 16, and 255 bytes in all; default DomainName for IPv6, none for IPv4,
	// where clients take DomainName for it themselves.
	SearchDomains []string `json:"searchDomains,omitempty" max:"16"`

	// NTPServers are time servers (option 42; in DHCPv6 56), of either IP
	// version. At most 8; default none.
	NTPServers []netip.Addr `json:"ntpServers,omitempty" max:"8"`

	// Routes are IPv4 routes beside the default route (option 121, RFC 3442). At most
	// 24, default none. Clients that take them take no default route from
	// elsewhere; the one to the gateway is added if none of them is 0.0.0.0/0.
	Routes []DHCPRoute `json:"routes,omitempty" max:"24"`

	// NextServer is the IPv4 address of the TFTP server that hosts boot from
	// (siaddr, option 66). Default none.
	NextServer netip.Addr `json:"nextServer,omitzero"`

	// BootFileName is what they fetch there (file, option 67). At most 127 bytes
	// of ASCII; default none.
	BootFileName string `json:"bootFileName,omitempty"`
}

// DHCPRoute is a route for clients.
type DHCPRoute struct {
	// Prefix is the destination, without host bits.
	Prefix netip.Prefix `json:"prefix" required:"true" form:"network"`

	// Via is the next hop, on a subnet of the segment; clients on its other
	// subnets are not told of the route.
	Via netip.Addr `json:"via" required:"true"`
}

// RouterAdvertisement says how IPv6 hosts on a segment configure themselves
// (RFC 4861, RFC 8415). Advertisements are sent from the link-local address of the gateway's
// MAC, at intervals to all ports and at once to a host that asks.
type RouterAdvertisement struct {
	// Mode is NONE (default), SLAAC, STATELESS_DHCP or STATEFUL_DHCP. All but
	// NONE need an IPv6 subnet; hosts that make their own addresses need a /64.
	//
	//	mode            address                  DNS, NTP      flags
	//	NONE            nobody is told anything
	//	SLAAC           made by the host         RA            A
	//	STATELESS_DHCP  made by the host         RA, DHCPv6    A, O
	//	STATEFUL_DHCP   the port's, by DHCPv6    RA, DHCPv6    M, O
	//
	// The address that a host makes of a port's MAC (modified EUI-64, RFC 4291
	// appendix A) is bound to the port as if it had been given, so that the
	// guard lets it pass. Random ones (RFC 7217, RFC 8981) pass no guard.
	Mode RAMode `json:"mode,omitempty" default:"NONE"`

	// IntervalSeconds is the longest time between two advertisements to all; the
	// shortest is a third of it. Seconds, 4..1800, default 600.
	IntervalSeconds int `json:"intervalSeconds,omitempty" min:"4" max:"1800" default:"600"`

	// LifetimeSeconds is how long hosts use the gateway as default router after an
	// advertisement; 0: not at all. Seconds, IntervalSeconds..9000; default three
	// times IntervalSeconds, and 0 if the segment has no router.
	LifetimeSeconds *int `json:"lifetimeSeconds,omitempty" min:"0" max:"9000"`

	// PreferredLifetimeSeconds is how long addresses that hosts made are used
	// for new connections. Seconds, 1..4294967295 (for ever), at most
	// ValidLifetimeSeconds; default 604800.
	PreferredLifetimeSeconds int `json:"preferredLifetimeSeconds,omitempty" min:"1" max:"4294967295" default:"604800"`

	// ValidLifetimeSeconds is how long such addresses, and the knowledge that the
	// subnet is on the link, last. Seconds, 1..4294967295 (for ever); default 2592000.
	ValidLifetimeSeconds int `json:"validLifetimeSeconds,omitempty" min:"1" max:"4294967295" default:"2592000"`

	// DNSNameservers are IPv6 addresses (RFC 8106). At most 8; default those of
	// spec.dhcp.
	DNSNameservers []netip.Addr `json:"dnsNameservers,omitempty" max:"8"`

	// SearchDomains complete names that are not full (RFC 8106). At most 16, and
	// 255 bytes in all; default those of spec.dhcp.
	SearchDomains []string `json:"searchDomains,omitempty" max:"16"`
}

// RAMode says what router advertisements tell hosts to do.
type RAMode string

// The modes.
const (
	RANone          RAMode = "NONE"
	RASLAAC         RAMode = "SLAAC"
	RAStatelessDHCP RAMode = "STATELESS_DHCP"
	RAStatefulDHCP  RAMode = "STATEFUL_DHCP"
)

// Values lists the allowed values.
func (RAMode) Values() []string {
	return []string{string(RANone), string(RASLAAC), string(RAStatelessDHCP), string(RAStatefulDHCP)}
}
