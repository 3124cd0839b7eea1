package oracle_test

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// Parts of sequences.
var (
	opening  = []string{"> tcp $c > $s S seq 100", "< tcp $s > $c SA seq 500 ack 101", "> tcp $c > $s A seq 101 ack 501"}
	exchange = []string{"> tcp $c > $s PA seq 101 ack 501 len 1000", "< tcp $s > $c A seq 501 ack 1101", "< tcp $s > $c PA seq 501 ack 1101 len 1000", "> tcp $c > $s A seq 1101 ack 1501"}
)

func join(parts ...[]string) (all []string) {
	for _, p := range parts {
		all = append(all, p...)
	}
	return all
}

func TestNamedSequences(t *testing.T) {
	k := newKernel(t)
	e := newEngine(t, false)
	q := newSequencer(t)
	var all []sent
	var from []int
	for _, row := range named {
		q.begin()
		from = append(from, len(all))
		for _, text := range row.packets {
			all = append(all, q.packet(text))
		}
	}
	theirs, ours := k.play(all), e.play(all)
	for i, row := range named {
		packets := all[from[i]:][:len(row.packets)]
		require.Equal(t, row.ours, verdicts(packets, ours), "%s: here", row.why)
		require.Equal(t, row.kernel != "", row.because != "", "%s: a difference has a reason", row.why)
		want := row.kernel
		if want == "" {
			want = row.ours
		}
		require.Equal(t, want, verdicts(packets, theirs), "%s: the kernel", row.why)
	}
}
