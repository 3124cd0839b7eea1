package api

import (
	"net/netip"
	"time"
)

// SessionView is a live session.
type SessionView struct {
	ID      uint32 `json:"id"` // another session has it later
	Segment string `json:"segment,omitempty"`
	Uplink  string `json:"uplink,omitempty"` // the port, if the session began at an uplink: of several, the router's first

	Protocol       string `json:"protocol"` // TCP, UDP, ICMP, ...; a number without a name
	ProtocolNumber uint8  `json:"protocolNumber"`
	State          string `json:"state"` // the last one

	Original SessionDirection `json:"original"`       // from who began it
	Reply    SessionDirection `json:"reply"`          // back
	ICMP     *ICMPQuery       `json:"icmp,omitempty"` // of an ICMP query, which has no ports

	// Translated is how packets of the original direction leave, where that differs.
	Translated *SessionTuple `json:"translated,omitempty"`

	// Of a session that a virtual server has taken: which, at what address, and who serves it.
	Service *SessionService `json:"service,omitempty"`
	NAT     *SessionNAT     `json:"nat,omitempty"`  // what has translated it beside that
	Rules   SessionRules    `json:"rules,omitzero"` // of the firewall, that let it pass

	Start   time.Time `json:"start"`          // of the first packet
	Age     float64   `json:"ageSeconds"`     // since then
	Idle    float64   `json:"idleSeconds"`    // since the last packet
	Timeout float64   `json:"timeoutSeconds"` // it ends when it has been idle for so long, in this state
}

// SessionTuple are the two ends of a packet. Ports are 0 for protocols that have none.
type SessionTuple struct {
	Source          netip.Addr `json:"source"`
	SourcePort      uint16     `json:"sourcePort,omitempty"`
	Destination     netip.Addr `json:"destination"`
	DestinationPort uint16     `json:"destinationPort,omitempty"`
}

// SessionDirection is one direction of a session.
type SessionDirection struct {
	SessionTuple        // as packets come in
	Port         string `json:"port,omitempty"` // by which they come in; empty while that is not known
	Packets      uint64 `json:"packets"`
	Bytes        uint64 `json:"bytes"` // of whole frames, without FCS
}

// SessionService is the virtual server of a session, and the member that it has for its life.
type SessionService struct {
	Name   string         `json:"name"` // of the virtual server; #ID, if it is gone
	ID     uint32         `json:"id"`
	VIP    netip.Addr     `json:"vip"`
	Port   uint16         `json:"port,omitempty"`
	Member *SessionMember `json:"member,omitempty"` // absent: the virtual server itself has answered
}

// SessionMember is the member of a session.
type SessionMember struct {
	Name    string     `json:"name"` // as LBMemberView has it; #ID, if it is gone
	ID      uint32     `json:"id"`
	Address netip.Addr `json:"address"`
	Port    uint16     `json:"port,omitempty"`
	// Why it was this one: an algorithm, AFFINITY, BACKUP, LAST_RESORT or SORRY_POOL.
	Why string `json:"why"`
}

// SessionNAT names what has translated a session. A rule that is gone is #ID.
type SessionNAT struct {
	Destination string `json:"destination,omitempty"` // the NAT rule that has changed the destination
	Source      string `json:"source,omitempty"`      // the NAT rule or the pool that has changed the source
}

// SessionRules are the numbers of the firewall's rules that let a session pass; 0 is none.
type SessionRules struct {
	Egress  uint32 `json:"egress,omitempty"`  // at the sender's port
	Ingress uint32 `json:"ingress,omitempty"` // at the receiver's
}

// ICMPQuery tells the sessions of ICMP apart.
type ICMPQuery struct {
	Type uint8  `json:"type"`
	ID   uint16 `json:"id"`
}
