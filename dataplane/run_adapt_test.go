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

func TestPatience(t *testing.T) {
	const spin, us = 50 * time.Microsecond, time.Microsecond
	for _, row := range []struct {
		why          string
		p            patience
		waited, took time.Duration
		want         time.Duration // longest, after it
	}{
		{"who has worked may wait as long", patience{}, 0, 70 * us, 70 * us},
		{"but for a little work not at all", patience{}, 0, 30 * us, 0},
		{"work adds up", patience{credit: 100 * us}, 0, 30 * us, 130 * us},
		{"up to a limit", patience{credit: 190 * us}, 0, 30 * us, creditLimit * spin},
		{"what was waited beyond the usual is spent", patience{credit: 200 * us}, 120 * us, 10 * us, 90 * us},
		{"and no more than there is", patience{credit: 20 * us}, 120 * us, 60 * us, 60 * us},
		{"the usual wait costs nothing", patience{spin: 50 * us, credit: 100 * us}, 40 * us, 10 * us, 110 * us},
		{"who has hardly worked waits as is usual", patience{spin: 50 * us}, 40 * us, 3 * us, 50 * us},
	} {
		t.Run(row.why, func(t *testing.T) {
			row.p.worked(row.waited, row.took, spin)
			require.Equal(t, row.want, row.p.longest(spin))
		})
	}
}
