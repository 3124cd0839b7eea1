package numbers_test

import (
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluice-net/sluice/control/internal/numbers"
)

func claims(things map[string][]string) (list []*numbers.Claim) {
	for key, names := range things {
		list = append(list, &numbers.Claim{Key: key, Names: names})
	}
	slices.SortFunc(list, func(a, b *numbers.Claim) int { return slices.Compare([]string{a.Key}, []string{b.Key}) })
	return list
}

// TestNumbersGoRound: what is gone leaves its number free, and that is given again when all others have been.
func TestNumbersGoRound(t *testing.T) {
	s := numbers.NewSpace(1, 3)
	ids := s.Assign(claims(map[string][]string{"a": {"x", "y"}}), nil, 0)
	require.Equal(t, numbers.IDs{{Name: "x", ID: 1}, {Name: "y", ID: 2}}, ids["a"])
	ids = s.Assign(claims(map[string][]string{"a": {"y"}, "b": {"x"}}), ids, s.Given())
	require.Equal(t, map[string]numbers.IDs{"a": {{Name: "y", ID: 2}}, "b": {{Name: "x", ID: 3}}}, ids, "3, although 1 is free")
	ids = s.Assign(claims(map[string][]string{"b": {"x", "z"}}), ids, s.Given())
	require.Equal(t, uint32(1), ids["b"].Of("z"), "all others have been given")
	require.Equal(t, 3, s.Taken())
}

// TestNumbersAgainstAll makes random changes, and holds what follows step by step against what is made of everything at once.
func TestNumbersAgainstAll(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	s := numbers.NewSpace(10, 500)
	things, last := map[string][]string{}, map[string]numbers.IDs{}
	given := uint32(0)
	for range 500 {
		changed := map[string][]string{}
		for range 1 + r.IntN(3) {
			key := string(rune('a' + r.IntN(12)))
			var names []string
			for i := range r.IntN(6) {
				if r.IntN(2) == 0 {
					names = append(names, string(rune('m'+i)))
				}
			}
			changed[key] = names
			if things[key] = names; len(names) == 0 {
				delete(things, key)
			}
		}
		fresh := numbers.NewSpace(10, 500)
		want := fresh.Assign(claims(things), last, given)
		list := claims(changed)
		if !s.Follows(last) {
			list = claims(things)
		}
		got := s.Assign(list, last, given)
		require.Equal(t, want, got)
		require.Equal(t, fresh.Given(), s.Given())
		seen := map[uint32]bool{}
		for key, ids := range got {
			require.Len(t, ids, len(things[key]))
			for _, id := range ids {
				require.False(t, seen[id.ID])
				require.True(t, 10 <= id.ID && id.ID < 510)
				seen[id.ID] = true
				if had := last[key].Of(id.Name); had != 0 {
					require.Equal(t, had, id.ID, "who had a number has it")
				}
			}
			if ids.Equal(last[key]) {
				require.True(t, ids.Same(last[key]))
			}
		}
		last, given = got, s.Given()
	}
}
