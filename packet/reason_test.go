package packet

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestEveryReasonIsNamedAndExplained(t *testing.T) {
	seen := map[string]bool{}
	for r := None; r < NumReasons; r++ {
		require.NotEmpty(t, r.String(), "reason %d has no name", r)
		require.NotEmpty(t, r.Meaning(), "%s has no meaning", r)
		require.False(t, seen[r.String()], "%s names two reasons", r)
		seen[r.String()] = true
		if r != None {
			require.NotEmpty(t, r.Component(), "%s has no component", r)
		}
		back, found := ReasonByName(r.String())
		require.True(t, found)
		require.Equal(t, r, back)
	}
	require.Equal(t, "UNKNOWN_REASON", NumReasons.String())
	_, found := ReasonByName("NO_SUCH_REASON")
	require.False(t, found)
}

// The page is what operators look a reason up in; it must not lag behind.
func TestDropReasonsPage(t *testing.T) {
	var b strings.Builder
	b.WriteString("# Drop reasons\n\nEvery frame that the switch does not forward is counted under one of these, in `report.json`,\n" +
		"`drops.jsonl`, metrics, logs and traces. The names do not change.\n\n| reason | component | what it means |\n|---|---|---|\n")
	for r := None + 1; r < NumReasons; r++ {
		fmt.Fprintf(&b, "| `%s` | %s | %s |\n", r, r.Component(), r.Meaning())
	}
	const page = "../docs/drop-reasons.md"
	if os.Getenv("SLUICE_UPDATE") != "" {
		require.NoError(t, os.WriteFile(page, []byte(b.String()), 0o644))
	}
	got, err := os.ReadFile(page)
	require.NoError(t, err)
	require.Equal(t, b.String(), string(got), "run SLUICE_UPDATE=1 go test ./packet -run DropReasonsPage")
}
