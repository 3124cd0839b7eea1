package control

import (
	"net/netip"
	"time"

	"github.com/sluice-net/sluice/api"
)

// DHCP is what DHCPv4 clients on a segment are told, besides the address that is
// bound to their port.
type DHCP struct {
	Subnets        []DHCPSubnet  `json:"subnets"` // the segment's IPv4 subnets, at least one
	Lease          time.Duration `json:"lease"`   // whole seconds
	DNSNameservers []netip.Addr  `json:"dnsNameservers"`
	DomainName     string        `json:"domainName"` // empty: none
	SearchDomains  []string      `json:"searchDomains"`
	NTPServers     []netip.Addr  `json:"ntpServers"`
	Routes         []DHCPRoute   `json:"routes"`     // without the default route to Router
	NextServer     netip.Addr    `json:"nextServer"` // may be the zero Addr
	BootFileName   string        `json:"bootFileName"`
}

// DHCPSubnet is a subnet that addresses are handed out of.
type DHCPSubnet struct {
	Prefix netip.Prefix `json:"prefix"`
	Server netip.Addr   `json:"server"` // by which clients know the server: the gateway
	// Router is the default router: the gateway, unless the segment has no
	// router and nobody has said that there is one. The zero Addr is none.
	Router netip.Addr `json:"router"`
}

// DHCPRoute is a route for clients on the subnet that Via is on.
type DHCPRoute struct {
	Prefix netip.Prefix `json:"prefix"`
	Via    netip.Addr   `json:"via"`
}

// RouterAdvertisement is api.RouterAdvertisement resolved, and what DHCPv6 says.
type RouterAdvertisement struct {
	Mode              api.RAMode    `json:"mode"` // not NONE
	Interval          time.Duration `json:"interval"`
	Lifetime          time.Duration `json:"lifetime"` // 0: the gateway is no default router
	PreferredLifetime time.Duration `json:"preferredLifetime"`
	ValidLifetime     time.Duration `json:"validLifetime"`
	DNSNameservers    []netip.Addr  `json:"dnsNameservers"`
	SearchDomains     []string      `json:"searchDomains"`
	NTPServers        []netip.Addr  `json:"ntpServers"` // told by DHCPv6 only
	Lease             time.Duration `json:"lease"`      // of addresses by DHCPv6
}

// Autoconfigured reports whether hosts make their own addresses.
func (a *RouterAdvertisement) Autoconfigured() bool {
	return a != nil && (a.Mode == api.RASLAAC || a.Mode == api.RAStatelessDHCP)
}
