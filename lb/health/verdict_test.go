package health

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluice-net/sluice/lb/member"
	"github.com/sluice-net/sluice/lb/service"
)

func TestVerdict(t *testing.T) {
	for _, row := range []struct {
		why        string
		rise, fall int
		results    string // + is a good one
		want       string // U, D, ? after each
	}{
		{"the first good probe brings a new member up, whatever rise says", 3, 3, "+", "U"},
		{"so it does after bad ones that were too few", 3, 3, "--+", "??U"},
		{"a new member that never answers is down after fall", 2, 3, "----", "??DD"},
		{"a member that has been down needs rise", 2, 3, "---++", "??DDU"},
		{"up falls after fall in a row", 2, 3, "+---", "UUUD"},
		{"a good one between begins the count anew", 2, 3, "+--+--+---", "UUUUUUUUUD"},
		{"a bad one between begins the count of recovery anew", 2, 1, "+-+-++", "UDDDDU"},
		{"one is enough where one is asked for", 1, 1, "+-+-", "UDUD"},
		{"zero is one", 0, 0, "+-+", "UDU"},
	} {
		t.Run(row.why, func(t *testing.T) {
			v := verdict{health: member.Unknown}
			got := ""
			for _, r := range row.results {
				before := v.health
				why, changed := v.take(r == '+', &service.Monitor{Rise: row.rise, Fall: row.fall})
				require.Equal(t, before != v.health, changed)
				require.Equal(t, changed, why != "")
				got += map[member.Health]string{member.Up: "U", member.Down: "D", member.Unknown: "?"}[v.health]
			}
			require.Equal(t, row.want, got)
		})
	}
}
