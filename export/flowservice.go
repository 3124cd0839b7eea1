package export

import (
	"cmp"
	"net/netip"

	"github.com/sluice-net/sluice/flowtable"
)

// Bound is what the numbers of a session's binding stand for. Names are empty for what is not, or not known.
type Bound struct {
	Service ServiceRef // the object that the virtual server is made of
	Server  string     // the virtual server
	Member  string
	Address netip.Addr // of the member
	Port    uint16     // of the member; 0: the one that the client connects to
	Why     string     // it was chosen
	Rule    string     // the NAT rule that has changed the destination
	Source  string     // the NAT rule or pool that has changed the source
}

// ServiceRef names a service as Hubble does.
type ServiceRef struct {
	Name      string `json:"name"`
	Namespace string `json:"namespace,omitempty"`
}

// FlowService is the virtual server that has taken a session.
type FlowService struct {
	ID   uint32 `json:"id"`
	Name string `json:"name,omitempty"`
}

// FlowEnd is an address and a port.
type FlowEnd struct {
	Address netip.Addr `json:"address"`
	Port    uint16     `json:"port,omitempty"`
}

// FlowMember is the member that a session has for its life, and why.
type FlowMember struct {
	ID   uint32 `json:"id"`
	Name string `json:"name,omitempty"`
	FlowEnd
	Why string `json:"why,omitempty"`
}

// FlowNAT names what has translated a session, beside a virtual server.
type FlowNAT struct {
	Destination string `json:"destination_rule,omitempty"`
	Source      string `json:"source_rule,omitempty"` // or the pool
}

// bind says what a session was bound to.
func (f *Flow) bind(r *flowtable.Record, b *Bound) {
	if r.Binding.Service != 0 {
		original := &r.Keys[flowtable.Original]
		f.Service = &FlowService{ID: r.Binding.Service, Name: b.Server}
		f.VIP = &FlowEnd{original.Dst.Netip(), original.DstPort()}
		if b.Service.Name != "" {
			ref := b.Service
			f.DestService = &ref
		}
	}
	if r.Binding.Member != 0 {
		f.Member = &FlowMember{ID: r.Binding.Member & memberNumber, Name: b.Member, FlowEnd: FlowEnd(MemberEnd(r, b)), Why: b.Why}
	}
	if b.Rule != "" || b.Source != "" {
		f.NAT = &FlowNAT{b.Rule, b.Source}
	}
}

// MemberEnd returns the address and port at which the member of a session takes it: where replies come from, unless
// packets go to the member as they are (direct server return).
func MemberEnd(r *flowtable.Record, b *Bound) FlowEnd {
	original, reply := &r.Keys[flowtable.Original], &r.Keys[flowtable.Reply]
	if b.Address.IsValid() && reply.Src == original.Dst && reply.SrcPort() == original.DstPort() {
		return FlowEnd{b.Address, cmp.Or(b.Port, original.DstPort())}
	}
	return FlowEnd{reply.Src.Netip(), reply.SrcPort()}
}

// memberNumber are the bits of flowtable.Binding.Member that are the member's number; the others say why it is that one.
const memberNumber = 1<<24 - 1
