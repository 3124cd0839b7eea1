package lint

import (
	"cmp"
	"fmt"
	"net/netip"
	"strings"

	"github.com/sluice-net/sluice/firewall/classify"
	"github.com/sluice-net/sluice/firewall/policy"
	"github.com/sluice-net/sluice/packet"
)

// Report is what Analyze has found.
type Report struct {
	Rules    int       `json:"rules"`    // that were examined
	Findings []Finding `json:"findings"` // in order of evaluation of the rules that they are about
	// Undecided is how many questions the budget did not suffice for. What is not among
	// Findings is then not certain to be well; findings always are certain.
	Undecided int `json:"undecided"`
	// MoreContradictions: Options.Contradictions was reached; there may be others.
	MoreContradictions bool `json:"moreContradictions,omitempty"`
}

// Kind is what is the matter with a rule.
type Kind string

// The kinds of findings.
const (
	// Shadowed: all packets of the rule are taken by rules before it, and some of those decide otherwise.
	Shadowed Kind = "shadowed"
	// Redundant: without the rule, everything would be decided as it is. Finding.Causes decide in its place.
	Redundant Kind = "redundant"
	// Contradicting: the rule and a later one of the same category have packets in common that they
	// decide differently, and each has packets that the other has not. So their order matters, and neither
	// reads like an exception of the other. (A correlation in Al-Shaer and Hamed, "Discovery of policy
	// anomalies in distributed firewalls", INFOCOM 2004.)
	Contradicting Kind = "contradicting"
	// NeverHit: the rule can decide, but no packet has come that it decides.
	NeverHit Kind = "never-hit"
	// SelectsNobody: no packet can match, whatever other rules there are: a group is empty, or
	// conditions exclude each other.
	SelectsNobody Kind = "selects-nobody"
	// Undecided: the budget ended before it was certain whether the rule is shadowed or redundant.
	Undecided Kind = "undecided"
)

// Severity is how much a finding matters.
type Severity string

// The severities.
const (
	Error   Severity = "error"   // the policy does not do what its text says
	Warning Severity = "warning" // text without effect
	Info    Severity = "info"    // may be just as it is meant
)

// Finding is something about a rule that its author should know.
type Finding struct {
	Kind     Kind      `json:"kind"`
	Severity Severity  `json:"severity"`
	Rule     RuleRef   `json:"rule"`
	Text     string    `json:"text"`             // a sentence
	Causes   []RuleRef `json:"causes,omitempty"` // the other rules that the finding is due to, in order of evaluation
	More     bool      `json:"more,omitempty"`   // there are causes that are not listed
	Witness  *Witness  `json:"witness,omitempty"`
}

// RuleRef names a rule.
type RuleRef struct {
	ID       uint32 `json:"id"`
	Name     string `json:"name"`
	Section  string `json:"section"`          // its title
	Origin   string `json:"origin,omitempty"` // KIND NAMESPACE/NAME
	Category string `json:"category"`
	Action   string `json:"action"`

	In   *policy.Section `json:"-"` // nil: a default rule
	Rule *policy.Rule    `json:"-"` // nil: the port is not filtered
}

// String returns the rule as people refer to it.
func (r RuleRef) String() string {
	return fmt.Sprintf("rule %d %q of section %q (%s)", r.ID, r.Name, r.Section, r.Action)
}

// Witness is a packet, or in category Ethernet a frame, that shows a finding.
type Witness struct {
	Packet classify.Packet `json:"-"`

	// The same as text.
	Port      string `json:"port"`      // name of the port at which rules are asked
	Direction string `json:"direction"` // IN or OUT
	Src       string `json:"src"`       // IP address, of a frame MAC address
	Dst       string `json:"dst"`
	Protocol  string `json:"protocol,omitempty"` // absent of frames
	SrcPort   uint16 `json:"srcPort,omitempty"`
	DstPort   uint16 `json:"dstPort,omitempty"`
	ICMPType  *uint8 `json:"icmpType,omitempty"`
	ICMPCode  *uint8 `json:"icmpCode,omitempty"`
	EtherType string `json:"etherType,omitempty"` // four digits after 0x
}

// String returns the witness in one line.
func (w *Witness) String() string {
	var b strings.Builder
	p := &w.Packet
	fmt.Fprintf(&b, "%s of %s: ", w.Direction, w.Port)
	switch {
	case w.EtherType != "":
		fmt.Fprintf(&b, "frame %s > %s type %s", w.Src, w.Dst, w.EtherType)
	case hasPorts(p.Protocol):
		fmt.Fprintf(&b, "%s %s > %s", w.Protocol, withPort(p.Src, p.SrcPort), withPort(p.Dst, p.DstPort))
	default:
		fmt.Fprintf(&b, "%s %s > %s", w.Protocol, w.Src, w.Dst)
	}
	if w.ICMPType != nil {
		fmt.Fprintf(&b, " type %d code %d", *w.ICMPType, *w.ICMPCode)
	}
	return b.String()
}

func withPort(a packet.Addr, port uint16) string { return netip.AddrPortFrom(a.Netip(), port).String() }

// Difference is a packet that two policies decide differently.
type Difference struct {
	Witness Witness `json:"witness"`
	A       RuleRef `json:"a"` // the rule that decides in each
	B       RuleRef `json:"b"`
}

var categoryNames = [...]string{"Ethernet", "Emergency", "Infrastructure", "Environment", "Application"}

func (e *entry) ref() RuleRef {
	r := RuleRef{ID: e.rule.ID, Name: cmp.Or(e.rule.Name, "default"), Section: e.section.Title, Action: e.rule.Action.String()}
	if e.section != unfilteredSection {
		r.Rule = e.rule
	}
	if !e.isDefault() {
		r.Name, r.In = e.rule.Name, e.section
	}
	if e.section.Origin.Name != "" {
		r.Origin = e.section.Origin.String()
	}
	if c := int(e.section.Category); c < len(categoryNames) {
		r.Category = categoryNames[c]
	}
	return r
}
