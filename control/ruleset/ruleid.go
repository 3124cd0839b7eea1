package ruleset

import (
	"encoding/json"

	"github.com/sluice-net/sluice/control/internal/numbers"
	"github.com/sluice-net/sluice/firewall/policy"
)

// RuleIDs are the numbers of one object's rules, by what tells a rule from the object's others: its name, with more where
// one name is several rules.
type RuleIDs = numbers.IDs

// ParseRuleIDs reads what encoding/json made of numbers.
func ParseRuleIDs(data []byte) (ids RuleIDs, err error) {
	if err := json.Unmarshal(data, &ids); err != nil {
		return nil, err
	}
	ids.Sort()
	return ids, nil
}

// RuleKey is the key of an object's rules in Result.Rules: KIND/NAMESPACE/NAME.
func RuleKey(o policy.Origin) string { return o.Kind + "/" + o.Namespace + "/" + o.Name }

// mostRules is how many numbers there are for rules.
const mostRules = 1 << 24
