package api

import "net/netip"

// Router is a distributed gateway of segments, with uplinks to the physical
// network. The router "default" exists without being written.
type Router struct {
	TypeMeta   `json:",inline"`
	ObjectMeta `json:"metadata"`
	Spec       RouterSpec `json:"spec,omitzero"`
}

// RouterSpec is the desired state of a router. Its segments name it.
type RouterSpec struct {
	// Uplinks lead to the physical network, most preferred first. At most 16;
	// default none.
	Uplinks []Uplink `json:"uplinks,omitempty" max:"16"`

	// Routes are static routes. At most 65536; default none. Of routes with
	// one prefix the first is preferred.
	Routes []Route `json:"routes,omitempty" max:"65536"`
}

// Uplink is a router's interface to the physical network.
type Uplink struct {
	// Port is the name of a Port without a segment, used by this uplink only.
	Port string `json:"port" required:"true"`

	// Addresses are the router's own there, each with the length of the
	// network's prefix (192.0.2.1/24). At least one, at most 64.
	Addresses []netip.Prefix `json:"addresses" required:"true" max:"64"`

	// Gateway is the next hop of the default route, on a network of Addresses
	// or link-local. Default none.
	Gateway netip.Addr `json:"gateway,omitzero"`

	// Gateways are more of them: one for IPv4 and one for IPv6 in all.
	Gateways []netip.Addr `json:"gateways,omitempty" max:"2"`
}

// Route is a static route: exactly one of Via and Blackhole is given.
type Route struct {
	// Prefix is the destination network, without host bits.
	Prefix netip.Prefix `json:"prefix" required:"true" form:"network"`

	// Via is the next hop, on a network of one of the router's segments or
	// uplinks.
	Via netip.Addr `json:"via,omitzero"`

	// Blackhole drops what matches. Default false.
	Blackhole bool `json:"blackhole,omitempty"`
}
