package replay

import (
	"encoding/json"
	"io"
	"strconv"

	"github.com/sluice-net/sluice/dataplane"
	"github.com/sluice-net/sluice/firewall/policy"
	"github.com/sluice-net/sluice/packet"
)

// Report is report.json.
type Report struct {
	Revision uint64                `json:"revision"`
	Digest   string                `json:"digest"` // of the configuration
	Frames   int64                 `json:"frames"` // read from all captures
	Unowned  int64                 `json:"unowned"`
	Refused  []Refused             `json:"refused,omitempty"`
	Sessions int                   `json:"sessions"` // begun
	Ports    map[string]PortReport `json:"ports"`
	Rules    map[string]RuleReport `json:"rules"`
	Ledger   dataplane.Ledger      `json:"ledger"`
	Crashes  int                   `json:"crashes"` // contained panics: each is a defect
}

// PortReport are a port's counts.
type PortReport struct {
	Rx     Count             `json:"rx"`
	Tx     Count             `json:"tx"`
	Drops  map[string]uint64 `json:"drops"` // of frames that came in here, by reason
	Ledger dataplane.Ledger  `json:"ledger"`
}

// Count is packets and bytes.
type Count struct {
	Packets uint64 `json:"packets"`
	Bytes   uint64 `json:"bytes"`
}

// RuleReport are a firewall rule's counts; packets and bytes of both directions of what it let through, and of what
// it refused.
type RuleReport struct {
	Section  string `json:"section"` // where it stands; empty for those that nobody wrote
	Rule     string `json:"rule"`
	Packets  uint64 `json:"packets"`
	Bytes    uint64 `json:"bytes"`
	Sessions uint64 `json:"sessions"`
}

// Drops sums up the drops of all ports by reason.
func (r *Report) Drops() map[string]uint64 {
	sum := map[string]uint64{}
	for _, p := range r.Ports {
		for reason, n := range p.Drops {
			sum[reason] += n
		}
	}
	return sum
}

func (r *Report) write(w io.Writer) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	return e.Encode(r)
}

func (r *run) report() *Report {
	report := &Report{
		Revision: r.config.Model.Revision, Digest: r.config.Model.Digest,
		Frames: r.count, Unowned: r.unowned, Refused: r.feeds.refused(),
		Sessions: len(r.output.records), Ports: map[string]PortReport{}, Rules: map[string]RuleReport{},
		Ledger: r.engine.Ledger(),
	}
	_, report.Crashes = r.engine.Crashes()
	counts := r.node.Rules()
	eachRule(r.config.Model.Firewall, func(section string, rule *policy.Rule) {
		n := counts[rule.ID]
		report.Rules[strconv.FormatUint(uint64(rule.ID), 10)] = RuleReport{
			Section: section, Rule: rule.Name, Packets: n.Packets, Bytes: n.Bytes, Sessions: n.Sessions,
		}
	})
	for name, p := range r.ports {
		c := r.engine.PortCounters(p.number)
		one := PortReport{
			Rx: Count{c.RxPackets, c.RxBytes}, Tx: Count{c.TxPackets, c.TxBytes},
			Drops: map[string]uint64{}, Ledger: c.Ledger(),
		}
		for reason, n := range c.Drops {
			if n != 0 {
				one.Drops[packet.Reason(reason).String()] = n
			}
		}
		report.Ports[name] = one
	}
	return report
}

// eachRule visits all rules of a policy in the order of evaluation, the default last.
func eachRule(p *policy.Policy, visit func(section string, rule *policy.Rule)) {
	for _, s := range p.Sections {
		for i := range s.Rules {
			visit(s.Origin.String(), &s.Rules[i])
		}
	}
	visit("", &p.Default)
}
