// Package export gives records of flows the shapes in which they leave the node.
package export

import (
	"net/netip"
	"strconv"
	"time"

	"github.com/sluice-net/sluice/flowtable"
	"github.com/sluice-net/sluice/packet"
)

// Flow is a line of the JSON flow log: a session that has ended, or a connection that was refused. Field names are
// those of Hubble's flow (api/v1/flow/flow.proto) where it has one; counters,
// translation, rules and the reason of the end are added.
type Flow struct {
	Time       string   `json:"time"`    // of the end, RFC 3339 with nanoseconds, UTC
	Verdict    string   `json:"verdict"` // FORWARDED, TRANSLATED, DROPPED
	DropReason string   `json:"drop_reason_desc,omitempty"`
	IP         FlowIP   `json:"IP"`
	L4         *FlowL4  `json:"l4,omitempty"`
	Source     Endpoint `json:"source"`
	Dest       Endpoint `json:"destination"`
	Type       string   `json:"Type"`
	EventType  string   `json:"event_type"`

	Protocol  uint8  `json:"protocol"` // IP protocol number
	Zone      uint32 `json:"zone"`
	Start     string `json:"start_time"`
	Last      string `json:"last_seen"`
	State     string `json:"state"`
	EndReason string `json:"end_reason"`
	Revision  uint64 `json:"revision"`

	Packets Directions `json:"packets"`
	Bytes   Directions `json:"bytes"` // whole frames, without FCS

	Translated *Translated `json:"translated,omitempty"`
	// DestService is the object behind the virtual server, Service; VIP the address of it that the client asked
	// for; Member who serves it, and why; NAT what has translated it beside.
	DestService *ServiceRef  `json:"destination_service,omitempty"`
	Service     *FlowService `json:"service,omitempty"`
	VIP         *FlowEnd     `json:"vip,omitempty"`
	Member      *FlowMember  `json:"member,omitempty"`
	NAT         *FlowNAT     `json:"nat,omitempty"`
	Rules       *FlowRules   `json:"rules,omitempty"`
}

// FlowIP are the addresses of the original direction as they came in.
type FlowIP struct {
	Source      netip.Addr `json:"source"`
	Destination netip.Addr `json:"destination"`
	IPVersion   string     `json:"ipVersion"`
}

// FlowL4 has one of its members.
type FlowL4 struct {
	TCP    *Ports `json:"TCP,omitempty"`
	UDP    *Ports `json:"UDP,omitempty"`
	SCTP   *Ports `json:"SCTP,omitempty"`
	ICMPv4 *ICMP  `json:"ICMPv4,omitempty"`
	ICMPv6 *ICMP  `json:"ICMPv6,omitempty"`
}

// Ports of a transport protocol.
type Ports struct {
	Source      uint16 `json:"source_port"`
	Destination uint16 `json:"destination_port"`
}

// ICMP is a query's type and identifier.
type ICMP struct {
	Type uint8  `json:"type"`
	ID   uint16 `json:"id"`
}

// Endpoint is the workload that owns an address; empty if none is known.
type Endpoint struct {
	Namespace string   `json:"namespace,omitempty"`
	PodName   string   `json:"pod_name,omitempty"`
	Labels    []string `json:"labels,omitempty"` // key=value, sorted
}

// Directions are counts from the initiator and back.
type Directions struct {
	Original uint64 `json:"original"`
	Reply    uint64 `json:"reply"`
}

// Translated is the original direction's tuple as it left, after NAT.
type Translated struct {
	Source          netip.Addr `json:"source"`
	Destination     netip.Addr `json:"destination"`
	SourcePort      uint16     `json:"source_port"`
	DestinationPort uint16     `json:"destination_port"`
}

// FlowRules are the numbers of the rules that let the session pass, or of the one that did not.
type FlowRules struct {
	Egress  uint32 `json:"egress,omitempty"`
	Ingress uint32 `json:"ingress,omitempty"`
	Denied  uint32 `json:"denied,omitempty"` // of a connection that was refused
}

// FlowLog makes Flows of session records.
type FlowLog struct {
	// WallClock converts the table's times to Unix time in ns.
	WallClock func(now int64) int64
	// Endpoint finds the owner of an address in a zone.
	Endpoint func(z packet.Zone, a netip.Addr) Endpoint
	// Bound finds what a session's binding stands for; nil: names are not told.
	Bound func(b *flowtable.Binding) Bound
	// Revision of the configuration in force when the sessions ended.
	Revision uint64
}

// Time formats a Unix time in ns as all logs of the project do.
func Time(ns int64) string { return time.Unix(0, ns).UTC().Format(time.RFC3339Nano) }

// Flow makes the line for a record.
func (l *FlowLog) Flow(r *flowtable.Record) Flow {
	original, reply := &r.Keys[flowtable.Original], &r.Keys[flowtable.Reply]
	f := Flow{
		Time: Time(l.WallClock(r.End)), Verdict: "FORWARDED", Type: "L3_L4", EventType: "session-end",
		IP: flowIP(original),
		L4: l4(original), Protocol: original.Proto(), Zone: uint32(original.Zone()),
		Start: Time(l.WallClock(r.Start)), Last: Time(l.WallClock(r.Last)),
		State: r.State.String(), EndReason: r.Reason.String(), Revision: l.Revision,
		Packets: Directions{r.Packets[flowtable.Original], r.Packets[flowtable.Reply]},
		Bytes:   Directions{r.Bytes[flowtable.Original], r.Bytes[flowtable.Reply]},
	}
	f.Source = l.Endpoint(original.Zone(), original.Src.Netip())
	f.Dest = l.Endpoint(reply.Zone(), reply.Src.Netip())
	if r.Translated() {
		back := reply.Reverse()
		f.Verdict = "TRANSLATED"
		f.Translated = &Translated{back.Src.Netip(), back.Dst.Netip(), back.SrcPort(), back.DstPort()}
	}
	if r.Binding != (flowtable.Binding{}) {
		var b Bound
		if l.Bound != nil {
			b = l.Bound(&r.Binding)
		}
		f.bind(r, &b)
	}
	if e, i := r.EgressRule[flowtable.Original], r.IngressRule[flowtable.Original]; e != 0 || i != 0 {
		f.Rules = &FlowRules{Egress: e, Ingress: i}
	}
	return f
}

func l4(k *packet.Key) *FlowL4 {
	ports := &Ports{k.SrcPort(), k.DstPort()}
	icmp := &ICMP{Type: uint8(k.DstPort() >> 8), ID: k.SrcPort()}
	switch k.Proto() {
	case packet.ProtoTCP:
		return &FlowL4{TCP: ports}
	case packet.ProtoUDP:
		return &FlowL4{UDP: ports}
	case packet.ProtoSCTP:
		return &FlowL4{SCTP: ports}
	case packet.ProtoICMP:
		return &FlowL4{ICMPv4: icmp}
	case packet.ProtoICMPv6:
		return &FlowL4{ICMPv6: icmp}
	}
	return nil
}

// ProtocolName returns the usual name of an IP protocol, or its number.
func ProtocolName(proto uint8) string {
	switch proto {
	case packet.ProtoICMP:
		return "ICMP"
	case packet.ProtoIGMP:
		return "IGMP"
	case packet.ProtoTCP:
		return "TCP"
	case packet.ProtoUDP:
		return "UDP"
	case packet.ProtoGRE:
		return "GRE"
	case packet.ProtoESP:
		return "ESP"
	case packet.ProtoAH:
		return "AH"
	case packet.ProtoICMPv6:
		return "ICMPv6"
	case packet.ProtoSCTP:
		return "SCTP"
	}
	return strconv.Itoa(int(proto))
}
