package lab

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluice-net/sluice/control"
)

// TestReadme keeps true what a stranger reads first: configurations compile,
// scenarios are sound, and the excerpt of the demo is what the demo says.
func TestReadme(t *testing.T) {
	readme, err := os.ReadFile("../README.md")
	require.NoError(t, err)
	configurations, scenarios := 0, 0
	for _, block := range regexp.MustCompile("(?s)```yaml\n(.*?)```").FindAllStringSubmatch(string(readme), -1) {
		if strings.HasPrefix(block[1], "name:") {
			scenarios++
			_, faults := Decode("README.md", []byte(block[1]))
			require.Empty(t, faults)
			continue
		}
		configurations++
		objects, faults := control.Decode("README.md", []byte(block[1]), control.Options{})
		require.Empty(t, faults)
		_, faults = control.Compile(control.Input{Objects: objects, Revision: 1})
		require.Empty(t, faults)
	}
	require.NotZero(t, configurations)
	require.NotZero(t, scenarios)

	demo, faults, err := Load("demo")
	require.NoError(t, err)
	require.Empty(t, faults)
	said := map[string]bool{}
	for i := range demo.Steps {
		said[demo.Steps[i].Name] = true
	}
	_, excerpt, found := strings.Cut(string(readme), "<!-- from make demo -->\n```\n")
	require.True(t, found)
	excerpt, _, _ = strings.Cut(excerpt, "```")
	picture, steps, found := strings.Cut(excerpt, "\n\n")
	require.True(t, found)
	require.Equal(t, strings.TrimRight(demo.Picture, "\n"), picture)
	verdict := regexp.MustCompile(`(?m)^ok +[0-9.]+ s  (.*)$`)
	shown := verdict.FindAllStringSubmatch(steps, -1)
	require.NotEmpty(t, shown)
	for _, s := range shown {
		require.True(t, said[s[1]], "README.md shows a step that the demo does not have: %s", s[1])
	}
}
