package control

import (
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestLoadBalancingGuide: the objects in docs/load-balancing.md, each added to those before, are without faults.
func TestLoadBalancingGuide(t *testing.T) {
	guide, err := os.ReadFile("../docs/load-balancing.md")
	require.NoError(t, err)
	text, examples := "", 0
	for i, part := range strings.Split(string(guide), "```") {
		example, isYAML := strings.CutPrefix(part, "yaml\n")
		if i%2 == 0 || !isYAML {
			continue
		}
		examples++
		text += "---\n" + example
		list, faults := Decode("guide.yaml", []byte(text), Options{})
		require.NoError(t, faults.Err(), example)
		_, faults = Compile(Input{Objects: list})
		require.NoError(t, faults.Err(), example)
	}
	require.GreaterOrEqual(t, examples, 5)
}
