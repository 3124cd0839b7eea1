package policy

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/sluice-net/sluice/api"
	"github.com/sluice-net/sluice/export"
	"github.com/sluice-net/sluice/firewall/policy"
	"github.com/sluice-net/sluice/packet"
)

// ephemeral is the sender's port where none is said: the first of those that RFC 6335 section 6 leaves to
// clients.
const ephemeral = 49152

// Evaluate says what becomes of a packet that would begin a session. The error wraps api.ErrInvalid or
// api.ErrNotFound if the question makes no sense.
func (e *Evaluator) Evaluate(q *api.PolicyQuery) (*api.PolicyAnswer, error) {
	t, err := e.tupleOf(q)
	if err != nil {
		return nil, err
	}
	a := &api.PolicyAnswer{
		Revision: e.model.Revision, Protocol: export.ProtocolName(t.protocol),
		From: api.PolicyEnd{Address: t.src.Netip()}, To: api.PolicyEnd{Address: t.dst.Netip()},
	}
	if t.from != nil {
		a.From.Port = t.from.Name
	}
	if t.to != nil {
		a.To.Port = t.to.Name
	}
	switch {
	case hasPorts(t.protocol):
		a.From.L4Port, a.To.L4Port = t.srcPort, t.dstPort
	case isICMP(t.protocol):
		a.ICMP = &api.ICMPKind{Type: uint8(t.dstPort >> 8), Code: uint8(t.dstPort)}
	}
	a.Egress, a.Ingress = e.point(t, policy.Out, q.Explain), e.point(t, policy.In, q.Explain)
	a.Verdict = a.Egress.Verdict
	if a.Verdict == api.SecurityAllow {
		a.Verdict = a.Ingress.Verdict
	}
	a.Notes = e.notes(t, a)
	return a, nil
}

// point is what is said at one of the two ends.
func (e *Evaluator) point(t *tuple, d policy.Direction, explain bool) api.PolicyPoint {
	at := t.to
	if d == policy.Out {
		at = t.from
	}
	v := e.ask(t, at, d)
	p := api.PolicyPoint{Verdict: api.SecurityAction(v.action().String()), Filtered: v.match != nil, Rule: refer(v.match), Jump: refer(v.jump)}
	if v.frame != nil && v.frame != v.match && v.frame.Rule.ID != policy.EthernetDefaultRuleID {
		p.Ethernet = refer(v.frame)
	}
	switch {
	case v.match == nil:
		p.Reason = e.whyNot(t, at, d)
	case explain && v.frame != v.match:
		p.Near = e.near(t, at, d, &v)
	}
	return p
}

// notes are what somebody who asks has to know beside the verdict.
func (e *Evaluator) notes(t *tuple, a *api.PolicyAnswer) (notes []string) {
	switch {
	case t.from == nil:
		notes = appendText(notes, e.place(t.src.Netip()))
	case t.to == nil:
		notes = appendText(notes, e.place(t.dst.Netip()))
	case t.from == t.to:
		notes = append(notes, "both ends are at port "+t.from.Name+": the switch sees only what is sent out of it")
	case e.scopeOf(t.from) != e.scopeOf(t.to):
		notes = append(notes, fmt.Sprintf("no router connects %s and %s: whatever rules say, there is no way", t.from.Name, t.to.Name))
	}
	for _, v := range []verdict{e.ask(t, t.from, policy.Out), e.ask(t, t.to, policy.In)} {
		if v.match != nil && v.match.Section.Stateless && v.match.Rule.Action == policy.Allow {
			notes = append(notes, fmt.Sprintf("rule %d keeps no state: replies need rules of their own", v.match.Rule.ID))
		}
	}
	return notes
}

func appendText(list []string, text string) []string {
	if text == "" {
		return list
	}
	return append(list, text)
}

// tupleOf reads a question.
func (e *Evaluator) tupleOf(q *api.PolicyQuery) (*tuple, error) {
	from, err := e.parseEnd("from", q.From)
	if err != nil {
		return nil, err
	}
	to, err := e.parseEnd("to", q.To)
	if err != nil {
		return nil, err
	}
	if err := e.resolve(&from, &to); err != nil {
		return nil, err
	}
	t := &tuple{from: from.port, to: to.port, src: packet.AddrFrom(from.address), dst: packet.AddrFrom(to.address)}
	t.scope = e.scopeBetween(t)
	return t, t.transport(q, &from, &to)
}

// scopeBetween is the address space in which a packet's addresses are looked up: the sender's.
func (e *Evaluator) scopeBetween(t *tuple) uint32 {
	switch {
	case t.from != nil:
		return e.scopeOf(t.from)
	case t.to != nil:
		return e.scopeOf(t.to)
	}
	return 0
}

// transport reads the protocol, and what it has for ports.
func (t *tuple) transport(q *api.PolicyQuery, from, to *end) error {
	if q.Protocol == "" {
		return api.Invalid("of which protocol? Want tcp, udp, sctp, icmp, or another one's name or number")
	}
	number, err := ProtocolNumber(q.Protocol)
	if err != nil {
		return err
	}
	v6 := !t.src.Is4()
	if strings.EqualFold(q.Protocol, "icmp") && v6 {
		number = packet.ProtoICMPv6 // what people mean
	}
	if !v6 && number == packet.ProtoICMPv6 || v6 && number == packet.ProtoICMP {
		return api.Invalid("protocol %s is none of %s packets: want icmp", q.Protocol, map[bool]string{false: "IPv4", true: "IPv6"}[v6])
	}
	t.protocol = number
	switch {
	case to.l4 != 0 && q.Port != 0 && to.l4 != q.Port:
		return api.Invalid("to port %d, as %s says, or to port %d?", to.l4, to.text, q.Port)
	case !isICMP(number) && (q.ICMPType != nil || q.ICMPCode != nil):
		return api.Invalid("protocol %s has neither type nor code: icmp has", q.Protocol)
	case !hasPorts(number) && (to.l4|from.l4|q.Port) != 0:
		return api.Invalid("protocol %s has no ports: tcp, udp and sctp have", q.Protocol)
	}
	switch {
	case isICMP(number):
		t.dstPort = echoRequest(number)
		if q.ICMPType != nil {
			t.dstPort = uint16(*q.ICMPType) << 8
		}
		if q.ICMPCode != nil {
			t.dstPort |= uint16(*q.ICMPCode)
		}
	case hasPorts(number):
		t.srcPort, t.dstPort = ephemeral, to.l4|q.Port // of which one is 0, or both are the same
		if from.l4 != 0 {
			t.srcPort = from.l4
		}
		if t.dstPort == 0 {
			return api.Invalid("to which port of %s? A session of %s has one: 80, for example", to.text, q.Protocol)
		}
	}
	return nil
}

// echoRequest is type << 8 of what ping sends.
func echoRequest(protocol uint8) uint16 {
	if protocol == packet.ProtoICMPv6 {
		return 128 << 8
	}
	return 8 << 8
}

func hasPorts(protocol uint8) bool {
	return protocol == packet.ProtoTCP || protocol == packet.ProtoUDP || protocol == packet.ProtoSCTP
}

func isICMP(protocol uint8) bool {
	return protocol == packet.ProtoICMP || protocol == packet.ProtoICMPv6
}

// ProtocolNumber reads the name of an IP protocol, in letters of either case, or its number.
func ProtocolNumber(text string) (uint8, error) {
	if number, err := strconv.ParseUint(text, 10, 8); err == nil {
		return uint8(number), nil
	}
	var names []string
	for number := range 256 {
		name := export.ProtocolName(uint8(number))
		if strings.EqualFold(name, text) {
			return uint8(number), nil
		}
		if _, err := strconv.Atoi(name); err != nil {
			names = append(names, name)
		}
	}
	return 0, api.Invalid("protocol %q: want a number up to 255, or one of %s", text, strings.Join(names, ", "))
}
