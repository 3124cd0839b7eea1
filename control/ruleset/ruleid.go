package ruleset

import (
	"cmp"
	"encoding/json"
	"math/bits"
	"reflect"
	"slices"

	"github.com/sluice-net/sluice/firewall/policy"
)

// RuleIDs are the numbers of one object's rules, sorted by rule. A list that was handed out is not written to;
// of lists that follow each other, the same one is the same.
type RuleIDs []RuleID

// RuleID is the number of a rule.
type RuleID struct {
	Rule string `json:"rule"` // what tells it from the object's others: its name, with more where one name is several rules
	ID   uint32 `json:"id"`
}

// Same reports whether both are one list, without looking at it.
func (a RuleIDs) Same(b RuleIDs) bool {
	return len(a) == len(b) && (len(a) == 0 || &a[0] == &b[0])
}

// Equal reports whether both are the same numbers of the same rules.
func (a RuleIDs) Equal(b RuleIDs) bool { return a.Same(b) || slices.Equal(a, b) }

// ParseRuleIDs reads what encoding/json made of numbers.
func ParseRuleIDs(data []byte) (ids RuleIDs, err error) {
	if err := json.Unmarshal(data, &ids); err != nil {
		return nil, err
	}
	slices.SortFunc(ids, func(a, b RuleID) int { return cmp.Compare(a.Rule, b.Rule) })
	return ids, nil
}

// of returns the number of a rule, 0 if it has none.
func (a RuleIDs) of(rule string) uint32 {
	i, found := slices.BinarySearchFunc(a, rule, func(x RuleID, rule string) int { return cmp.Compare(x.Rule, rule) })
	if !found {
		return 0
	}
	return a[i].ID
}

// RuleKey is the key of an object's rules in Result.Rules: KIND/NAMESPACE/NAME.
func RuleKey(o policy.Origin) string { return o.Kind + "/" + o.Namespace + "/" + o.Name }

// numbers are those of all rules.
type numbers struct {
	last  map[string]RuleIDs // as handed out
	taken []uint64           // bits, from FirstRuleID
	given uint32             // the number given last
}

// mostRules bounds what taken may come to; higher numbers, which no one has but by a mistake in what was
// stored, are given anew.
const mostRules = 1 << 24

// take makes a number taken, and reports whether it was free and may be a rule's.
func (x *numbers) take(id uint32) bool {
	if id < policy.FirstRuleID || id-policy.FirstRuleID >= mostRules {
		return false
	}
	word, bit := int(id-policy.FirstRuleID)/64, uint64(1)<<((id-policy.FirstRuleID)%64)
	for len(x.taken) <= word {
		x.taken = append(x.taken, 0)
	}
	if x.taken[word]&bit != 0 {
		return false
	}
	x.taken[word] |= bit
	return true
}

// give makes a number free.
func (x *numbers) give(id uint32) {
	word := int(id-policy.FirstRuleID) / 64
	x.taken[word] &^= 1 << ((id - policy.FirstRuleID) % 64)
}

// next takes the first number behind the one given last that is free. Numbers go round: that of a rule that is gone is not soon
// another's, for counters and logs know rules by it.
func (x *numbers) next() uint32 {
	at := int(x.given + 1 - policy.FirstRuleID)
	if x.given < policy.FirstRuleID || at >= mostRules {
		at = 0
	}
	for {
		word := at / 64
		for len(x.taken) <= word {
			x.taken = append(x.taken, 0)
		}
		if free := ^x.taken[word] >> (at % 64); free != 0 {
			at += bits.TrailingZeros64(free)
			break
		}
		if at = (word + 1) * 64; at == mostRules {
			at = 0
		}
	}
	x.taken[at/64] |= 1 << (at % 64)
	x.given = policy.FirstRuleID + uint32(at)
	return x.given
}

// claim is an object whose rules need numbers.
type claim struct {
	key   string
	rules []string // in order; none twice. nil: the object is gone
	ids   RuleIDs  // sorted by rule, filled in by assign
}

// follows reports whether numbers are those of the last Policy, so that only what has changed need be
// looked at.
func (x *numbers) follows(previous map[string]RuleIDs) bool {
	return x.last != nil && reflect.ValueOf(previous).Pointer() == reflect.ValueOf(x.last).Pointer()
}

// assign gives the rules of claims, sorted by key, their numbers: those that they had in previous, others free ones behind
// given, in order. If previous is not what was handed out last, claims have to be of all objects.
func (x *numbers) assign(claims []*claim, previous map[string]RuleIDs, given uint32) map[string]RuleIDs {
	x.given = given
	all := !x.follows(previous)
	if all {
		clear(x.taken)
	} else {
		for _, c := range claims {
			for _, r := range previous[c.key] {
				x.give(r.ID)
			}
		}
	}
	same, n := true, 0
	for _, c := range claims {
		had := previous[c.key]
		c.ids = make(RuleIDs, len(c.rules))
		missing := len(had) != len(c.rules)
		for i, rule := range c.rules {
			c.ids[i].Rule = rule
			if id := had.of(rule); x.take(id) {
				c.ids[i].ID = id
			} else {
				missing = true
			}
		}
		if !missing && len(had) > 0 {
			c.ids = had
			n++
		} else if len(had)+len(c.rules) > 0 {
			same = false
		}
	}
	same = same && (!all || len(previous) == n)
	for _, c := range claims {
		for i := range c.ids {
			if c.ids[i].ID == 0 {
				c.ids[i].ID = x.next()
			}
		}
		if len(c.ids) > 0 && !c.ids.Same(previous[c.key]) {
			slices.SortFunc(c.ids, func(a, b RuleID) int { return cmp.Compare(a.Rule, b.Rule) })
		}
	}
	if same && previous != nil {
		x.last = previous
		return previous
	}
	next := make(map[string]RuleIDs, len(previous)+len(claims))
	if !all {
		for key, ids := range previous {
			next[key] = ids
		}
	}
	for _, c := range claims {
		if delete(next, c.key); len(c.ids) > 0 {
			next[c.key] = c.ids
		}
	}
	x.last = next
	return next
}
