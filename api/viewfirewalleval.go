package api

import (
	"net/netip"
	"net/url"
	"strconv"
)

// PolicyQuery asks what the firewall would do with the first packet of a session.
type PolicyQuery struct {
	// From and To are the ends: a port's name, an address that is a port's or somebody's outside, either
	// with the transport's port behind a colon: shop/web-1, 10.0.1.10:80, [fd00::1]:80.
	From, To string

	Protocol string // its name or number
	Port     uint16 // of the destination, if To has none
	ICMPType *uint8 // nil: an echo request
	ICMPCode *uint8 // nil: 0

	Explain bool // also name the rules that nearly matched
}

// The names of PolicyQuery's fields in a query.
const (
	fieldFrom     = "from"
	fieldTo       = "to"
	fieldICMPType = "icmpType"
	fieldICMPCode = "icmpCode"
	fieldExplain  = "explain"
)

// Query returns the question as a query; ParsePolicyQuery is its inverse.
func (p *PolicyQuery) Query() url.Values {
	q := url.Values{}
	setAll(q, map[string]string{
		fieldFrom: p.From, fieldTo: p.To, fieldProtocol: p.Protocol, fieldPort: number(uint64(p.Port)),
		fieldICMPType: optional(p.ICMPType), fieldICMPCode: optional(p.ICMPCode),
	})
	if p.Explain {
		q.Set(fieldExplain, "true")
	}
	return q
}

func optional(n *uint8) string {
	if n == nil {
		return ""
	}
	return strconv.Itoa(int(*n))
}

// PolicyFields are the fields of a query that ParsePolicyQuery takes.
func PolicyFields() []string {
	return []string{fieldFrom, fieldTo, fieldProtocol, fieldPort, fieldICMPType, fieldICMPCode, fieldExplain}
}

// ParsePolicyQuery reads a query. The error names every fault and wraps ErrInvalid. Whether there are such
// ends is for who has a policy to say.
func ParsePolicyQuery(q url.Values) (PolicyQuery, error) {
	var p PolicyQuery
	err := readQuery(q, "the policy can't be asked by %q; want %s", PolicyFields(), nil, p.set)
	if err != nil {
		return PolicyQuery{}, err
	}
	return p, nil
}

func (p *PolicyQuery) set(field, v string) (err error) {
	switch field {
	case fieldFrom:
		p.From = v
	case fieldTo:
		p.To = v
	case fieldProtocol:
		p.Protocol = v
	case fieldPort:
		p.Port, err = parseL4Port(v)
	case fieldICMPType:
		p.ICMPType, err = parseByte(v)
	case fieldICMPCode:
		p.ICMPCode, err = parseByte(v)
	case fieldExplain:
		p.Explain, err = parseFlag(v)
	}
	return err
}

// PolicyAnswer is what becomes of that packet.
type PolicyAnswer struct {
	Verdict  SecurityAction `json:"verdict"` // ALLOW, DROP or REJECT
	Revision uint64         `json:"revision"`

	Protocol string    `json:"protocol"`
	ICMP     *ICMPKind `json:"icmp,omitempty"`
	From     PolicyEnd `json:"from"`
	To       PolicyEnd `json:"to"`

	Egress  PolicyPoint `json:"egress"`  // rules of the sender's port
	Ingress PolicyPoint `json:"ingress"` // rules of the receiver's port, which are asked if the others allow it

	Notes []string `json:"notes,omitempty"` // what else is to be known
}

// ICMPKind is what kind of ICMP message it is.
type ICMPKind struct {
	Type uint8 `json:"type"`
	Code uint8 `json:"code"`
}

// PolicyEnd is an end of a packet.
type PolicyEnd struct {
	Port    string     `json:"port,omitempty"` // who has the address; absent: no port
	Address netip.Addr `json:"address"`
	L4Port  uint16     `json:"l4Port,omitempty"`
}

// PolicyPoint is one of the two places where rules are asked.
type PolicyPoint struct {
	Verdict  SecurityAction `json:"verdict"`
	Filtered bool           `json:"filtered"`
	Reason   string         `json:"reason,omitempty"` // why no rule is asked, if none is

	Rule     *RuleRef `json:"rule,omitempty"`     // that decides; one of category Ethernet only if it denies
	Jump     *RuleRef `json:"jump,omitempty"`     // whose JUMP_TO_APPLICATION led there
	Ethernet *RuleRef `json:"ethernet,omitempty"` // that lets the frame pass, if it is not the default

	Near []NearRule `json:"near,omitempty"` // that nearly matched before, in order of evaluation
}

// NearRule is a rule all of whose conditions hold but one.
type NearRule struct {
	RuleRef
	Failed string `json:"failed"` // what does not hold
}
