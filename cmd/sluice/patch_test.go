package main

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/aymanbagabas/go-udiff"
	"github.com/stretchr/testify/require"

	"github.com/sluice-net/sluice/api"
)

// Whatever happens to an object, what all of it comes to is the diff of the first and
// the last text.
func TestCompositionIsTheDiffOfTheEnds(t *testing.T) {
	ref := api.ObjectRef{APIVersion: api.APIVersion, Kind: "Segment", Name: "web"}
	seeds := uint64(2000)
	if testing.Short() {
		seeds = 200
	}
	for seed := range seeds {
		r := rand.New(rand.NewPCG(seed, 1))
		var text []string
		if seed%4 != 0 {
			text = randomLines(r, 40)
		}
		first := slices.Clone(text)
		var c composition
		for range 1 + r.IntN(5) {
			after := edit(r, text)
			if r.IntN(8) == 0 {
				after = nil
			}
			change := api.ObjectChange{ObjectRef: ref, Action: api.ActionConfigured}
			change.Diff = udiff.Unified("before/x", "after/x", joinLines(text), joinLines(after))
			switch {
			case len(text) == 0 && len(after) == 0:
				continue
			case len(text) == 0:
				change.Action = api.ActionCreated
			case len(after) == 0:
				change.Action = api.ActionDeleted
			}
			require.NoError(t, c.compose(&change))
			text = after
		}
		got := c.change()
		want := hunks(udiff.Unified("a", "b", joinLines(first), joinLines(text)))
		require.NotContains(t, got.Diff, "\x00", "seed %d", seed)
		// Where lines are alike, several diffs say the same: what counts is what comes of it.
		if hunks(got.Diff) != want {
			require.Equal(t, joinLines(text), patched(t, first, got.Diff), "seed %d\n%s\nwant\n%s", seed, got.Diff, want)
		}
		switch {
		case len(first) == 0 && len(text) == 0:
		case len(first) == 0:
			require.Equal(t, api.ActionCreated, got.Action)
			require.True(t, strings.HasPrefix(got.Diff, "--- /dev/null\n+++ after/Segment web\n"), got.Diff)
		case len(text) == 0:
			require.Equal(t, api.ActionDeleted, got.Action)
		case slices.Equal(first, text):
			require.Equal(t, api.ActionUnchanged, got.Action)
		default:
			require.Equal(t, api.ActionConfigured, got.Action)
		}
	}
}

func randomLines(r *rand.Rand, n int) []string {
	lines := make([]string, 1+r.IntN(n))
	for i := range lines {
		lines[i] = fmt.Sprintf("line %d", r.IntN(60))
	}
	return lines
}

// edit changes a few places.
func edit(r *rand.Rand, lines []string) []string {
	if len(lines) == 0 {
		return randomLines(r, 20)
	}
	lines = slices.Clone(lines)
	for range 1 + r.IntN(3) {
		at := r.IntN(len(lines) + 1)
		n := min(r.IntN(4), len(lines)-at)
		lines = slices.Replace(lines, at, at+n, randomLines(r, 3)[:r.IntN(2)]...)
		if len(lines) == 0 {
			return randomLines(r, 5)
		}
	}
	return lines
}

func joinLines(lines []string) string {
	if len(lines) == 0 {
		return ""
	}
	return strings.Join(lines, "\n") + "\n"
}

// hunks leaves the names and the places out.
func hunks(diff string) string {
	var b strings.Builder
	for line := range strings.Lines(diff) {
		switch {
		case strings.HasPrefix(line, "---"), strings.HasPrefix(line, "+++"):
		case strings.HasPrefix(line, "@@"):
			b.WriteString("@@\n")
		default:
			b.WriteString(line)
		}
	}
	return b.String()
}

// patched is a text with a diff applied to it.
func patched(t *testing.T, lines []string, diff string) string {
	var out []string
	at := 0
	for line := range strings.Lines(diff) {
		line = strings.TrimSuffix(line, "\n")
		if header := hunkHeader.FindStringSubmatch(line); header != nil {
			var begin int
			_, err := fmt.Sscan(header[1], &begin)
			require.NoError(t, err)
			if header[2] != "0" {
				begin--
			}
			out = append(out, lines[at:begin]...)
			at = begin
			continue
		}
		switch {
		case strings.HasPrefix(line, "---"), strings.HasPrefix(line, "+++"):
		case line[0] == '+':
			out = append(out, line[1:])
		default:
			require.Equal(t, line[1:], lines[at])
			if line[0] == ' ' {
				out = append(out, line[1:])
			}
			at++
		}
	}
	return joinLines(append(out, lines[at:]...))
}
