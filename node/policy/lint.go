package policy

import (
	"github.com/sluice-net/sluice/api"
	"github.com/sluice-net/sluice/control"
	"github.com/sluice-net/sluice/firewall"
	"github.com/sluice-net/sluice/firewall/lint"
	"github.com/sluice-net/sluice/firewall/policy"
)

// Lint examines a model's rules. hits are what they have decided, by ID; nil if nobody has counted. effort is how many
// steps, of some 20 ns, it may take in all; 0 is what is well for people.
func Lint(m *control.Model, hits map[uint32]api.Hits, effort int) *api.PolicyLint {
	p := Of(m)
	var counted map[uint32]lint.Hits
	if hits != nil {
		counted = make(map[uint32]lint.Hits, len(hits))
		for id := range hits {
			h := hits[id]
			counted[id] = lint.Hits{Packets: h.Packets, Bytes: h.Bytes, Sessions: h.Sessions}
		}
	}
	report := lint.Analyze(p, counted, lint.Options{Total: effort})
	refs := map[uint32]api.RuleRef{}
	for s := range Sections(p) {
		for i := range s.Rules {
			refs[s.Rules[i].ID] = Refer(s, &s.Rules[i])
		}
	}
	_, frames := firewall.Defaults(p)
	refs[policy.EthernetDefaultRuleID] = *refer(&frames)
	out := &api.PolicyLint{
		Revision: m.Revision, Rules: report.Rules, Findings: make([]api.LintFinding, 0, len(report.Findings)),
		Undecided: report.Undecided, More: report.MoreContradictions,
	}
	for i := range report.Findings {
		f := &report.Findings[i]
		found := api.LintFinding{
			Kind: string(f.Kind), Severity: api.LintSeverity(f.Severity), Rule: refs[f.Rule.ID], Text: f.Text, More: f.More,
		}
		for _, c := range f.Causes {
			found.Causes = append(found.Causes, refs[c.ID])
		}
		if f.Witness != nil {
			found.Witness = f.Witness.String()
		}
		out.Findings = append(out.Findings, found)
	}
	return out
}
