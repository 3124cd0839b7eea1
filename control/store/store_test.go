package store

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// stores are the implementations, which all pass the tests of this file.
func stores(t *testing.T, test func(t *testing.T, s Store, end func() error)) {
	t.Helper()
	t.Run("memory", func(t *testing.T) {
		m := NewMemory()
		defer m.Close() //nolint:errcheck // it has no errors
		test(t, m, m.Close)
	})
	t.Run("bolt", func(t *testing.T) {
		b, err := OpenBolt(filepath.Join(t.TempDir(), "state.db"))
		require.NoError(t, err)
		defer b.Close() //nolint:errcheck // the test may have done it
		test(t, b, b.Close)
	})
}

func set(key, value string) Change { return Change{Key: key, Value: []byte(value), Was: Any} }

// list writes records as KEY=VALUE@REVISION.
func list(records []Record) string {
	var parts []string
	for _, r := range records {
		value := string(r.Value)
		if r.Value == nil {
			value = "(gone)"
		}
		parts = append(parts, fmt.Sprintf("%s=%s@%d", r.Key, value, r.Revision))
	}
	return strings.Join(parts, " ")
}

func TestSaveAndLoad(t *testing.T) {
	for _, tt := range []struct {
		why      string
		saves    [][]Change
		prefix   string
		want     string
		revision uint64
	}{
		{"an empty store has revision 0, which no transaction has", nil, "", "", 0},
		{"records come in order of keys, not of saving", [][]Change{{set("b", "2"), set("a", "1")}}, "", "a=1@1 b=2@1", 1},
		{"a record has the revision of its own last change", [][]Change{{set("a", "1"), set("b", "1")}, {set("a", "2")}}, "", "a=2@2 b=1@1", 2},
		{"a prefix selects, and is no path: aa begins with a", [][]Change{{set("a", "1"), set("aa", "2"), set("b", "3")}}, "a", "a=1@1 aa=2@1", 1},
		{"a prefix that is no key of its own", [][]Change{{set("x/1", "1"), set("y/1", "2")}}, "x/", "x/1=1@1", 1},
		{"nil deletes", [][]Change{{set("a", "1")}, {{Key: "a", Was: Any}}}, "", "", 2},
		{"deleting what is not there is no error", [][]Change{{{Key: "a", Was: Any}}}, "", "", 1},
		{"an empty value is a value", [][]Change{{set("a", "")}}, "", "a=@1", 1},
		{"a transaction of nothing counts", [][]Change{{}}, "", "", 1},
	} {
		stores(t, func(t *testing.T, s Store, _ func() error) {
			for i, changes := range tt.saves {
				revision, err := s.Save(changes...)
				require.NoError(t, err, tt.why)
				require.EqualValues(t, i+1, revision, tt.why)
			}
			records, revision, err := s.Load(tt.prefix)
			require.NoError(t, err, tt.why)
			require.Equal(t, tt.want, list(records), tt.why)
			require.Equal(t, tt.revision, revision, tt.why)
		})
	}
}

func TestConditions(t *testing.T) {
	for _, tt := range []struct {
		why    string
		change Change
		ok     bool
	}{
		{"the revision that it has", Change{"a", []byte("new"), 1}, true},
		{"one that it had never", Change{"a", []byte("new"), 2}, false},
		{"a record that must not be there, and is", Change{"a", []byte("new"), 0}, false},
		{"a record that must not be there, and is not", Change{"c", []byte("new"), 0}, true},
		{"a record that has to be there, and is not", Change{"c", []byte("new"), 1}, false},
		{"to delete one that somebody has changed", Change{"a", nil, 7}, false},
		{"a key that is none", Change{"", []byte("new"), Any}, false},
		{"a key that is too long", Change{strings.Repeat("k", MaxKey+1), []byte("new"), Any}, false},
		{"the longest key", Change{strings.Repeat("k", MaxKey), []byte("new"), Any}, true},
		{"a key that the transaction changes already", set("b", "x"), false},
	} {
		stores(t, func(t *testing.T, s Store, _ func() error) {
			_, err := s.Save(set("a", "1"))
			require.NoError(t, err)
			revision, err := s.Save(set("b", "2"), tt.change)
			records, now, loadErr := s.Load("")
			require.NoError(t, loadErr)
			if tt.ok {
				require.NoError(t, err, tt.why)
				require.Equal(t, revision, now, tt.why)
				require.Len(t, records, 2+b2i(tt.change.Key != "a"), tt.why)
				return
			}
			require.Error(t, err, tt.why)
			require.Equal(t, "a=1@1", list(records), "%s: the other change of the transaction is not made either", tt.why)
			require.EqualValues(t, 1, now, tt.why)
		})
	}
	stores(t, func(t *testing.T, s Store, _ func() error) {
		_, err := s.Save(Change{"a", []byte("1"), 9})
		require.ErrorIs(t, err, ErrConflict)
	})
}

func b2i(b bool) int {
	if b {
		return 1
	}
	return 0
}

func TestRecordsAreTheCallers(t *testing.T) {
	stores(t, func(t *testing.T, s Store, _ func() error) {
		value := []byte("one")
		_, err := s.Save(Change{"a", value, Any})
		require.NoError(t, err)
		copy(value, "two")
		records, _, err := s.Load("")
		require.NoError(t, err)
		require.Equal(t, "a=one@1", list(records))
		copy(records[0].Value, "six")
		records, _, err = s.Load("")
		require.NoError(t, err)
		require.Equal(t, "a=one@1", list(records))
	})
}

func TestWatch(t *testing.T) {
	stores(t, func(t *testing.T, s Store, end func() error) {
		for i := range 3 {
			_, err := s.Save(set("x/a", fmt.Sprint(i)), set("y", "other"))
			require.NoError(t, err)
		}
		_, err := s.Save(set("y", "only"))
		require.NoError(t, err)
		var got []string
		for e, err := range s.Watch(t.Context(), "x/", 1) {
			require.NoError(t, err)
			got = append(got, fmt.Sprintf("%d: %s", e.Revision, list(e.Records)))
			switch e.Revision {
			case 3: // what there was is seen; the rest comes while it is watched
				_, err := s.Save(Change{Key: "x/a", Was: Any}, set("x/b", "new"))
				require.NoError(t, err)
			case 5:
				require.NoError(t, end())
			}
		}
		require.Equal(t, []string{"2: x/a=1@2", "3: x/a=2@3", "5: x/a=(gone)@5 x/b=new@5"}, got,
			"from behind the revision, without transactions of other keys, until the store is closed")
	})
}

func TestWatchEndsWithItsContext(t *testing.T) {
	stores(t, func(t *testing.T, s Store, _ func() error) {
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			for range s.Watch(ctx, "", 0) {
				cancel()
			}
		}()
		_, err := s.Save(set("a", "1"))
		require.NoError(t, err)
		<-ended
	})
}

func TestWatchLosesNothingUnderLoad(t *testing.T) {
	const writers, each = 4, 50
	stores(t, func(t *testing.T, s Store, _ func() error) {
		records, revision, err := s.Load("")
		require.NoError(t, err)
		require.Empty(t, records)
		var wg sync.WaitGroup
		for w := range writers {
			wg.Go(func() {
				for i := range each {
					if _, err := s.Save(set(fmt.Sprintf("%d/%d", w, i), "v")); err != nil {
						t.Error(err)
					}
				}
			})
		}
		defer wg.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		next := revision + 1
		for e, err := range s.Watch(ctx, "", revision) {
			require.NoError(t, err)
			require.Equal(t, next, e.Revision)
			require.Len(t, e.Records, 1)
			if next++; next > writers*each {
				return
			}
		}
		t.Fatal("the watch ended early")
	})
}

func TestWatchSaysWhatIsLost(t *testing.T) {
	watchErr := func(s Store, after uint64) (err error) {
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		for _, err = range s.Watch(ctx, "", after) {
			break
		}
		return err
	}
	m := NewMemory()
	for range history + 10 {
		_, err := m.Save(set("a", "1"))
		require.NoError(t, err)
	}
	require.ErrorIs(t, watchErr(m, 9), ErrLost, "it is behind what the feed remembers")
	require.NoError(t, watchErr(m, 10), "the first event behind it is the oldest remembered")
	require.ErrorIs(t, watchErr(m, history+11), ErrLost, "a revision that has not been: the store is another")

	_, err := m.Save(set("a", string(make([]byte, historyBytes+1))))
	require.NoError(t, err)
	require.ErrorIs(t, watchErr(m, history+9), ErrLost, "one transaction is as large as all that is remembered")
	require.NoError(t, watchErr(m, history+10), "and is remembered itself")

	path := filepath.Join(t.TempDir(), "state.db")
	b, err := OpenBolt(path)
	require.NoError(t, err)
	for range 3 {
		_, err = b.Save(set("a", "1"))
		require.NoError(t, err)
	}
	require.NoError(t, b.Close())
	b, err = OpenBolt(path)
	require.NoError(t, err)
	defer b.Close() //nolint:errcheck // a test's
	require.ErrorIs(t, watchErr(b, 2), ErrLost, "what was before the start is not remembered")
	require.NoError(t, watchErr(b, 3))
}

func TestClosed(t *testing.T) {
	stores(t, func(t *testing.T, s Store, end func() error) {
		require.NoError(t, end())
		_, _, err := s.Load("")
		require.ErrorIs(t, err, ErrClosed)
		_, err = s.Save(set("a", "1"))
		require.ErrorIs(t, err, ErrClosed)
		require.NoError(t, end(), "closing twice is no error")
	})
}
