package oracle_test

import (
	"fmt"
	"math/rand/v2"
	"strings"
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

// An end of a random connection: what it has sent, and what it has seen.
type end struct {
	begun     bool
	first     uint32 // its initial sequence number
	next, ack uint32
}

// randomSequence is a connection with mishaps: most packets are what an end would send next,
// some are repeated, lost on the way before either side sees them, or wrong in one respect.
func randomSequence(rng *rand.Rand) (packets []string) {
	ends := [2]end{{first: 1000}, {first: 1<<32 - 5000}}
	for i := range ends {
		ends[i].next = ends[i].first
	}
	n := 4 + rng.IntN(12)
	for len(packets) < n {
		from := rng.IntN(2)
		own, peer := &ends[from], &ends[1-from]
		flags, size := "A", 0
		switch {
		case !own.begun && !peer.begun && from == 1:
			continue
		case !own.begun && !peer.begun:
			flags = "S"
		case !own.begun:
			flags = "SA"
		default:
			flags = []string{"A", "A", "PA", "PA", "FA", "R", "RA", "S", "SA"}[rng.IntN(9)]
			if rng.IntN(3) > 0 {
				flags = []string{"A", "PA"}[rng.IntN(2)]
			}
		}
		if flags == "PA" {
			size = 100 * (1 + rng.IntN(14))
		}
		seq, ack := own.next, peer.next
		if strings.Contains(flags, "S") {
			seq = own.first
		}
		if !peer.begun {
			ack = 0
		}
		wrong := rng.IntN(6) == 0
		if wrong {
			by := []uint32{1, 1 << 10, 1 << 17, 1 << 30, 1 << 31}[rng.IntN(5)]
			if rng.IntN(2) == 0 {
				by = -by
			}
			if rng.IntN(2) == 0 {
				seq += by
			} else {
				ack += by
			}
		}
		if !strings.Contains(flags, "A") {
			ack = 0
		}
		line := fmt.Sprintf("> tcp $c > $s %s seq %d ack %d len %d", flags, seq, ack, size)
		if from == 1 {
			line = fmt.Sprintf("< tcp $s > $c %s seq %d ack %d len %d", flags, seq, ack, size)
		}
		packets = append(packets, line)
		if rng.IntN(8) == 0 {
			packets = append(packets, line)
		}
		if !wrong {
			own.begun = true
			end := seq + uint32(size)
			if strings.ContainsAny(flags, "SF") {
				end++
			}
			if int32(end-own.next) > 0 {
				own.next = end
			}
		}
	}
	return packets
}

func TestRandomSequences(t *testing.T) {
	k, e, q := newKernel(t), newEngine(t, false), newSequencer(t)
	rng := rand.New(rand.NewPCG(20, 26))
	var all []sent
	var from []int
	for range 2000 {
		q.begin()
		from = append(from, len(all))
		for _, text := range randomSequence(rng) {
			all = append(all, q.packet(text))
		}
	}
	from = append(from, len(all))
	theirs, ours := k.play(all), e.play(all)
	diff := map[string]int{}
	ex := map[string]string{}
	agree := 0
	for i := range len(from) - 1 {
		packets := all[from[i]:from[i+1]]
		before := "none"
		for j, p := range packets {
			if o, th := ours[p.mark], theirs[p.mark]; o != th {
				f := strings.Fields(p.text)
				key := fmt.Sprintf("%s %s in %s: ours %v kernel %v", f[0], f[5], before, o, th)
				diff[key]++
				if ex[key] == "" {
					for _, p := range packets[:j+1] {
						ex[key] += fmt.Sprintf("\n     %s  ours %v kernel %v %s", p.text, ours[p.mark], theirs[p.mark], p.state)
					}
				}
				break
			}
			agree++
			before = p.state
		}
	}
	for key, n := range diff {
		t.Log(n, key, ex[key])
	}
	t.Log(agree, len(all))
}
