package lab

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluice-net/sluice/api"
)

func TestCountersOfRules(t *testing.T) {
	rule := func(section, name string, packets, sessions uint64) api.RuleView {
		return api.RuleView{RuleRef: api.RuleRef{Section: section, Name: name}, Hits: api.Hits{Packets: packets, Sessions: sessions}}
	}
	before, err := ruleCounts([]api.RuleView{rule("shop/web", "in", 10, 1), rule("shop/web", "out", 5, 1), rule("", "default", 7, 0)})
	require.NoError(t, err)
	after, err := ruleCounts([]api.RuleView{rule("shop/web", "in", 12, 1), rule("shop/web", "out", 6, 2), rule("shop/web", "new", 3, 1), rule("", "default", 7, 0)})
	require.NoError(t, err)
	for _, row := range []struct {
		why, rule, path, want string
		fault                 string
	}{
		{"A rule is named by its section and its own name.", "shop/web/in", "packets", "2", ""},
		{"A section's counters are those of its rules together.", "shop/web", "packets", "6", ""},
		{"A rule that was not there has decided nothing before.", "shop/web/new", "sessions", "1", ""},
		{"A default rule has no section.", "default", "packets", "0", ""},
		{"What differs is told.", "shop/web/out", "sessions", "0", "rule shop/web/out: sessions: want 0, got 1"},
		{"So is a rule that is not there: it would never have decided anything.", "shop/web/inn", "packets", "0", "there is no rule or section shop/web/inn; there are default, shop/web, shop/web/in"},
		{"And a counter that there is none of.", "shop/web/in", "packet", "0", "rule shop/web/in: packet: want 0"},
	} {
		t.Run(row.why, func(t *testing.T) {
			want, err := parseCondition(row.want)
			require.NoError(t, err)
			e := &Expect{Rules: map[string]map[string]Condition{row.rule: {row.path: want}}}
			require.True(t, e.counts())
			faults := e.compare(counts{rules: before}, counts{rules: after})
			if row.fault == "" {
				require.Empty(t, faults)
				return
			}
			require.Len(t, faults, 1)
			require.Contains(t, faults[0], row.fault)
		})
	}
}
