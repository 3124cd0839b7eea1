package api

import "net/netip"

// IPPool is a stock of addresses. Without one for segments, namespaces get
// /24s of 10.244.0.0/16.
type IPPool struct {
	TypeMeta   `json:",inline"`
	ObjectMeta `json:"metadata"`
	Spec       IPPoolSpec `json:"spec,omitzero"`
}

// DefaultSegmentPool and DefaultSegmentBits are what segments are carved from
// where no IPPool with usage segments is given.
const (
	DefaultSegmentPool  = "10.244.0.0/16"
	DefaultSegmentBits4 = 24
	DefaultSegmentBits6 = 64
)

// IPPoolSpec is the desired state of a pool: exactly one of CIDR and Ranges
// is given. Pools do not overlap.
type IPPoolSpec struct {
	// Usage is segments (subnets for namespaces are carved from it), vips
	// (addresses of virtual servers, and of Services of type LoadBalancer), clusterips
	// (of Services that have no clusterIP; without such a pool they get none) or
	// snat (source addresses outside).
	Usage PoolUsage `json:"usage" required:"true"`

	// CIDR is the network that the pool consists of, without host bits.
	CIDR netip.Prefix `json:"cidr,omitzero" form:"network"`

	// PrefixLength is the size of each subnet carved for a segment, bits; with
	// usage segments only. From CIDR's own length to 31 (v4) or 127 (v6).
	// Default 24 (v4), 64 (v6).
	PrefixLength int `json:"prefixLength,omitempty" min:"1" max:"127"`

	// Ranges are runs of addresses; not with usage segments. At most 256.
	Ranges []IPRange `json:"ranges,omitempty" max:"256"`

	// Gateway is the gateway of the network that a pool of VIPs is part of; it
	// is never allocated. Default none.
	Gateway netip.Addr `json:"gateway,omitzero"`

	// DNSNameservers are handed to workloads with the address. At most 3.
	DNSNameservers []netip.Addr `json:"dnsNameservers,omitempty" max:"3"`

	// DNSSuffix is handed to workloads with the address. Default none.
	DNSSuffix string `json:"dnsSuffix,omitempty"`
}

// PoolUsage is what a pool's addresses are for.
type PoolUsage string

// The pool usages.
const (
	UsageSegments   PoolUsage = "segments"
	UsageVIPs       PoolUsage = "vips"
	UsageClusterIPs PoolUsage = "clusterips"
	UsageSNAT       PoolUsage = "snat"
)

// Values lists the allowed values.
func (PoolUsage) Values() []string {
	return []string{string(UsageSegments), string(UsageVIPs), string(UsageClusterIPs), string(UsageSNAT)}
}

// IPRange is a run of addresses of one family, both ends included.
type IPRange struct {
	// Start is the first address.
	Start netip.Addr `json:"start" required:"true"`

	// End is the last address, not before Start.
	End netip.Addr `json:"end" required:"true"`
}
