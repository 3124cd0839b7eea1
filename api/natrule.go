package api

import (
	"fmt"
	"net/netip"
	"strings"
)

// NATRule translates addresses of what crosses the edge of a router: leaves by one of its uplinks, or enters
// there. Rules are asked in order of priority, of equal ones by name, once for the destination of a connection and
// once for its source; the first that matches decides. Answers are translated back without being asked about.
type NATRule struct {
	TypeMeta   `json:",inline"`
	ObjectMeta `json:"metadata"`
	Spec       NATRuleSpec `json:"spec,omitzero" required:"true"`
}

// NATRuleSpec is what a rule matches and does.
type NATRuleSpec struct {
	// Router is the Router at whose edge it holds. Default "default".
	Router string `json:"router,omitempty" default:"default"`

	// Action is SNAT (of connections from inside, the source becomes one of translatedNetwork or translatedPool), DNAT (of
	// those from outside, the destination becomes one of translatedNetwork), NO_SNAT or NO_DNAT (rules behind it
	// translate neither), or REFLEXIVE (the addresses of sourceNetworks and of translatedNetwork stand for each other, one to one,
	// whoever begins).
	Action NATAction `json:"action" required:"true"`

	// SourceNetworks are where packets come from. All of one family. Default: anywhere. REFLEXIVE needs exactly one.
	SourceNetworks []Network `json:"sourceNetworks,omitempty" max:"1024"`

	// DestinationNetworks are where they go to, before translation. All of one family. Default: anywhere; DNAT and NO_DNAT
	// need at least one. Not with REFLEXIVE.
	DestinationNetworks []Network `json:"destinationNetworks,omitempty" max:"1024"`

	// TranslatedNetwork is what addresses become: with SNAT and DNAT one of at most 4096, the same for all connections of
	// a client; with REFLEXIVE the one at the same place in a network that is as large as that of sourceNetworks.
	TranslatedNetwork Network `json:"translatedNetwork,omitzero"`

	// TranslatedPool is an IPPool with usage snat that the source becomes an address of; with SNAT, in place of
	// translatedNetwork.
	TranslatedPool string `json:"translatedPool,omitempty"`

	// TranslatedPorts are, with DNAT, the port that the destination's becomes ("8080"), or as many as the rule's single range
	// of destinationPorts, one to one ("8000-8010"). Default: they stay.
	TranslatedPorts string `json:"translatedPorts,omitempty"`

	// Service is which packets are meant. Default: all.
	Service *NATService `json:"service,omitempty"`

	// Priority orders rules: the lowest is asked first (NSX's sequence_number). 0..2147483647, default 0.
	Priority int `json:"priority,omitempty" min:"0" max:"2147483647"`

	// FirewallMatch is which addresses firewall rules see: MATCH_INTERNAL_ADDRESS (default), the workload's;
	// MATCH_EXTERNAL_ADDRESS, those outside: before DNAT, after SNAT; BYPASS, none: they are not asked.
	FirewallMatch NATFirewallMatch `json:"firewallMatch,omitempty" default:"MATCH_INTERNAL_ADDRESS"`

	// Scope are the names of Ports: uplinks of the router, at which alone the rule holds. Default: all its uplinks.
	Scope []string `json:"scope,omitempty" max:"16"`

	// Enabled is whether the rule holds. Default true.
	Enabled *bool `json:"enabled,omitempty" default:"true"`

	// Logged writes a line for each connection that is translated. Default false.
	Logged bool `json:"logged,omitempty"`
}

// NATAction is what a NAT rule does.
type NATAction string

// The actions.
const (
	NATSource        NATAction = "SNAT"
	NATDestination   NATAction = "DNAT"
	NATNoSource      NATAction = "NO_SNAT"
	NATNoDestination NATAction = "NO_DNAT"
	NATReflexive     NATAction = "REFLEXIVE"
)

// Values lists the allowed values.
func (NATAction) Values() []string {
	return []string{string(NATSource), string(NATDestination), string(NATNoSource), string(NATNoDestination), string(NATReflexive)}
}

// NATService is which packets a NAT rule is about.
type NATService struct {
	// Protocol is TCP, UDP or SCTP.
	Protocol L4Protocol `json:"protocol" required:"true"`

	// DestinationPorts are ports and ranges, "80" and "8000-8010", before translation. Default: all.
	DestinationPorts []string `json:"destinationPorts,omitempty" max:"64"`

	// SourcePorts are likewise, of the one who begins. Default: all.
	SourcePorts []string `json:"sourcePorts,omitempty" max:"64"`
}

// NATFirewallMatch is which addresses firewall rules see.
type NATFirewallMatch string

// The ways.
const (
	MatchInternalAddress NATFirewallMatch = "MATCH_INTERNAL_ADDRESS"
	MatchExternalAddress NATFirewallMatch = "MATCH_EXTERNAL_ADDRESS"
	MatchBypass          NATFirewallMatch = "BYPASS"
)

// Values lists the allowed values.
func (NATFirewallMatch) Values() []string {
	return []string{string(MatchInternalAddress), string(MatchExternalAddress), string(MatchBypass)}
}

// Network is an address or a network without host bits: in text 192.0.2.1 or 192.0.2.0/24. The zero Network is "not
// given".
type Network netip.Prefix

// Prefix returns the network; of an address alone, the one that has no other.
func (n Network) Prefix() netip.Prefix { return netip.Prefix(n) }

// IsZero reports whether n is not given.
func (n Network) IsZero() bool { return !n.Prefix().IsValid() }

// String returns an address that is alone without a prefix length.
func (n Network) String() string {
	if p := n.Prefix(); !p.IsSingleIP() {
		return p.String()
	}
	return n.Prefix().Addr().String()
}

// MarshalText writes what String returns.
func (n Network) MarshalText() ([]byte, error) {
	if n.IsZero() {
		return nil, nil
	}
	return []byte(n.String()), nil
}

// UnmarshalText reads an address or a network. It refuses zones, mapped addresses and host bits; what
// the error says ends with what to write instead, if that is known.
func (n *Network) UnmarshalText(text []byte) error {
	s := string(text)
	if !strings.Contains(s, "/") {
		a, err := netip.ParseAddr(s)
		switch {
		case err != nil:
			return fmt.Errorf("such as 192.0.2.1 or 192.0.2.0/24")
		case a.Zone() != "":
			return fmt.Errorf("leave %%%s out", a.Zone())
		case a.Is4In6():
			return fmt.Errorf("write %s", a.Unmap())
		}
		*n = Network(netip.PrefixFrom(a, a.BitLen()))
		return nil
	}
	p, err := netip.ParsePrefix(s)
	switch {
	case err != nil:
		return fmt.Errorf("such as 192.0.2.1 or 192.0.2.0/24")
	case p.Addr().Is4In6():
		return fmt.Errorf("write it as IPv4")
	case p != p.Masked():
		return fmt.Errorf("bits are set after its prefix: write %s, or %s for the address alone", p.Masked(), p.Addr())
	}
	*n = Network(p)
	return nil
}
