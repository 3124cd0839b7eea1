package policy

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/netip"

	"github.com/sluice-net/sluice/control"
	"github.com/sluice-net/sluice/export"
	"github.com/sluice-net/sluice/packet"
)

// maxLine is how long a line of a flow log may be, bytes. Labels of pods make some long.
const maxLine = 1 << 20

// flow is what was recorded of a session, or of a packet that was denied.
type flow struct {
	tuple          tuple // but for the ports and the scope, which each policy has its own of
	from           string
	to             string // names of the ports; empty: by address
	source         source
	denied, reject bool
	rules          export.FlowRules // that let it pass, or did not

	packets, bytes uint64
}

// source is what a flow was read of.
type source uint8

const (
	ofSession source = 1 + iota // a line of flows.jsonl about a session
	ofDenial                    // one about packets of a tuple that were denied
	ofDrop                      // a line of drops.jsonl: one such packet
)

// line is a line of flows.jsonl (export.Flow) or of drops.jsonl (replay.Drop).
type line struct {
	Verdict    string             `json:"verdict"`
	DropReason string             `json:"drop_reason_desc"`
	IP         *export.FlowIP     `json:"IP"`
	L4         *export.FlowL4     `json:"l4"`
	Source     owner              `json:"source"`
	Dest       owner              `json:"destination"`
	Protocol   json.RawMessage    `json:"protocol"`
	Packets    export.Directions  `json:"packets"`
	Bytes      export.Directions  `json:"bytes"`
	Translated *export.Translated `json:"translated"`
	Rules      export.FlowRules   `json:"rules"`

	Reason string      `json:"reason"`
	Port   string      `json:"port"`
	Rule   uint32      `json:"rule"`
	Src    *netip.Addr `json:"src"`
	Dst    *netip.Addr `json:"dst"`
	Sport  uint16      `json:"sport"`
	Dport  uint16      `json:"dport"`
}

// owner is export.Endpoint without labels.
type owner struct {
	Namespace string `json:"namespace"`
	PodName   string `json:"pod_name"`
}

func (o *owner) port() string {
	if o.Namespace == "" {
		return o.PodName
	}
	return o.Namespace + "/" + o.PodName
}

var errNoFlow = errors.New(`neither a line of flows.jsonl, which has "verdict", nor of drops.jsonl, which has "reason"`)

// eachFlow reads lines and calls visit for those about rules; skipped counts the others: drops for another
// reason, and of what is not IP. progress hears of the lines and bytes so far. Errors name the line.
func eachFlow(r io.Reader, visit func(*flow), progress func(lines, bytes int64)) (lines, skipped int64, err error) {
	s := bufio.NewScanner(r)
	s.Buffer(make([]byte, 0, 1<<16), maxLine)
	size := int64(0)
	for s.Scan() {
		lines++
		size += int64(len(s.Bytes())) + 1
		if len(bytes.TrimSpace(s.Bytes())) == 0 {
			continue
		}
		var l line
		if err := json.Unmarshal(s.Bytes(), &l); err != nil {
			return lines, skipped, fmt.Errorf("line %d: %w", lines, err)
		}
		f, err := l.flow()
		switch {
		case err != nil:
			return lines, skipped, fmt.Errorf("line %d: %w", lines, err)
		case f == nil:
			skipped++
		default:
			visit(f)
		}
		if progress != nil && lines%4096 == 0 {
			progress(lines, size)
		}
	}
	if err := s.Err(); err != nil {
		return lines, skipped, fmt.Errorf("line %d: %w", lines+1, err)
	}
	return lines, skipped, nil
}

// flow reads a line; nil if it is about no rules.
func (l *line) flow() (*flow, error) {
	switch {
	case l.Reason != "":
		return l.drop()
	case l.Verdict == "" || l.IP == nil:
		return nil, errNoFlow
	}
	protocol, err := l.protocol()
	if err != nil {
		return nil, err
	}
	f := &flow{
		tuple: tuple{src: packet.AddrFrom(l.IP.Source), dst: packet.AddrFrom(l.IP.Destination), protocol: protocol},
		from:  l.Source.port(), to: l.Dest.port(), rules: l.Rules, source: ofSession,
		packets: l.Packets.Original + l.Packets.Reply, bytes: l.Bytes.Original + l.Bytes.Reply,
	}
	switch l.Verdict {
	case "FORWARDED", "TRANSLATED":
	case "DROPPED":
		f.source, f.denied, f.reject = ofDenial, true, l.DropReason == packet.PolicyRejected.String()
	default:
		return nil, nil
	}
	f.tuple.l4(l.L4)
	if t := l.Translated; t != nil {
		// Rules are asked on the address after load balancing, and on the source before its translation.
		f.tuple.dst = packet.AddrFrom(t.Destination)
		if hasPorts(protocol) {
			f.tuple.dstPort = t.DestinationPort
		}
	}
	return f, f.check()
}

// drop reads a line of drops.jsonl.
func (l *line) drop() (*flow, error) {
	if l.Reason != packet.PolicyDenied.String() && l.Reason != packet.PolicyRejected.String() || l.Src == nil || l.Dst == nil {
		return nil, nil
	}
	protocol, err := l.protocol()
	if err != nil {
		return nil, err
	}
	f := &flow{
		tuple: tuple{
			src: packet.AddrFrom(*l.Src), dst: packet.AddrFrom(*l.Dst),
			protocol: protocol, srcPort: l.Sport, dstPort: l.Dport,
		},
		from: l.Port, denied: true, reject: l.Reason == packet.PolicyRejected.String(),
		rules: export.FlowRules{Denied: l.Rule}, source: ofDrop, packets: 1,
	}
	if isICMP(protocol) {
		f.tuple.srcPort, f.tuple.dstPort = 0, echoRequest(protocol) // of which type it was is not recorded
	}
	return f, f.check()
}

// protocol is a number in one kind of lines and a name in the other.
func (l *line) protocol() (uint8, error) {
	var text string
	if len(l.Protocol) > 0 && l.Protocol[0] == '"' {
		if err := json.Unmarshal(l.Protocol, &text); err != nil {
			return 0, err
		}
	} else {
		text = string(l.Protocol)
	}
	if text == "" {
		return 0, errors.New(`there is no "protocol"`)
	}
	return ProtocolNumber(text)
}

// check makes sure that a line's addresses are ones that a packet can have.
func (f *flow) check() error {
	if f.tuple.src.Is4() != f.tuple.dst.Is4() {
		return fmt.Errorf("%s and %s are of two IP versions", f.tuple.src, f.tuple.dst)
	}
	return nil
}

// l4 takes over what a session has for ports.
func (t *tuple) l4(l *export.FlowL4) {
	if l == nil {
		return
	}
	for _, p := range []*export.Ports{l.TCP, l.UDP, l.SCTP} {
		if p != nil {
			t.srcPort, t.dstPort = p.Source, p.Destination
		}
	}
	for _, i := range []*export.ICMP{l.ICMPv4, l.ICMPv6} {
		if i != nil {
			t.dstPort = uint16(i.Type) << 8
		}
	}
}

// in is the flow as a policy's configuration knows it: the ports of the recorded names, or else those that have
// the addresses there.
func (f *flow) in(e *Evaluator) *tuple {
	t := f.tuple
	t.from, t.to = e.byName[f.from], e.byName[f.to]
	if t.from == nil {
		t.from = e.only(t.src, t.to)
	}
	if t.to == nil {
		t.to = e.only(t.dst, t.from)
	}
	t.scope = e.scopeBetween(&t)
	return &t
}

// only returns the port that has an address; nil if none or several have, also by what the other end is.
func (e *Evaluator) only(a packet.Addr, other *control.Port) (found *control.Port) {
	for _, p := range e.byAddress[a.Netip()] {
		if other != nil && e.scopeOf(p) != e.scopeOf(other) {
			continue
		}
		if found != nil {
			return nil
		}
		found = p
	}
	return found
}
