package api

// PolicyLint is what was found about the rules of a policy.
type PolicyLint struct {
	Revision uint64        `json:"revision"`
	Rules    int           `json:"rules"`    // that were examined
	Findings []LintFinding `json:"findings"` // in the order of evaluation

	Undecided int  `json:"undecided,omitempty"` // questions that would have taken too long: what is not found may be there
	More      bool `json:"more,omitempty"`      // there may be further contradictions
}

// LintSeverity is how much a finding matters.
type LintSeverity string

// The severities.
const (
	LintError   LintSeverity = "error"   // the policy does not do what it says
	LintWarning LintSeverity = "warning" // a rule without effect
	LintInfo    LintSeverity = "info"    // may be just as it is meant
)

// Values lists the severities, the worst first.
func (LintSeverity) Values() []string {
	return []string{string(LintError), string(LintWarning), string(LintInfo)}
}

// LintFinding is something about a rule that its author should know.
type LintFinding struct {
	Kind     string       `json:"kind"` // shadowed, redundant, contradicting, never-hit, selects-nobody or undecided
	Severity LintSeverity `json:"severity"`
	Rule     RuleRef      `json:"rule"`
	Text     string       `json:"text"`
	Causes   []RuleRef    `json:"causes,omitempty"`     // the other rules that it is due to
	More     bool         `json:"moreCauses,omitempty"` // that are not listed
	Witness  string       `json:"witness,omitempty"`    // a packet that shows it
}
