package near

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestDistance(t *testing.T) {
	for _, row := range []struct {
		why, a, b string
		want      int
	}{
		{"equal words", "segment", "segment", 0},
		{"neighbours swapped are one slip", "segmnet", "segment", 1},
		{"a letter missing, one too many", "adresse", "address", 2},
		{"nothing in common", "abc", "xyz", 3},
		{"all letters to add", "", "mtu", 3},
	} {
		require.Equal(t, row.want, distance(row.a, row.b), row.why)
		require.Equal(t, row.want, distance(row.b, row.a), row.why)
	}
}
