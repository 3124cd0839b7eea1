package dataplane

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestAdapt(t *testing.T) {
	const us = time.Microsecond
	for _, row := range []struct {
		why                 string
		spin, waited, wants time.Duration
	}{
		{"a first short wait is worth a quarter of the longest", 0, 30 * us, 12500 * time.Nanosecond},
		{"then it grows", 20 * us, 30 * us, 40 * us},
		{"up to the longest", 40 * us, 60 * us, 50 * us},
		{"a long wait halves it", 50 * us, time.Millisecond, 25 * us},
		{"down to nothing", 0, time.Second, 0},
	} {
		require.Equal(t, row.wants, adapt(row.spin, row.waited, 50*us), row.why)
	}
}
