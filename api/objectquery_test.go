package api_test

import (
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluice-net/sluice/api"
)

func TestParseObjectFilter(t *testing.T) {
	for _, row := range []struct {
		why, query string
		want       api.ObjectFilter
		fault      string
	}{
		{"nothing narrows nothing", "", api.ObjectFilter{}, ""},
		{"kinds and names may be several", "kind=Pod&kind=Port&name=a&name=b", api.ObjectFilter{Kinds: []string{"Pod", "Port"}, Names: []string{"a", "b"}}, ""},
		{
			"all of them", "namespace=web&labelSelector=app%3Dweb,tier!%3Ddb&fieldSelector=status.source%3Dx&limit=7",
			api.ObjectFilter{Namespace: "web", Labels: "app=web,tier!=db", Fields: "status.source=x", Limit: 7},
			"",
		},
		{"a field that there is not", "colour=red", api.ObjectFilter{}, `objects can't be asked for by "colour"; want kind, namespace, name, labelSelector, fieldSelector, limit`},
		{"two namespaces", "namespace=a&namespace=b", api.ObjectFilter{}, "namespace is given 2 times"},
		{"an empty name", "name=", api.ObjectFilter{}, `name "": is empty`},
		{"no limit is not 0", "limit=0", api.ObjectFilter{}, `limit "0": want a number from 1`},
		{"much text", "namespace=" + strings.Repeat("x", 600), api.ObjectFilter{}, "has 600 bytes; at most 512"},
		{"selectors may be longer", "labelSelector=" + strings.Repeat("x", 600), api.ObjectFilter{Labels: strings.Repeat("x", 600)}, ""},
		{"and not without end", "labelSelector=" + strings.Repeat("x", 5000), api.ObjectFilter{}, "has 5000 bytes; at most 4096"},
		{"many names", strings.Repeat("name=x&", 1025), api.ObjectFilter{}, "1025 names are too many; at most 1024"},
		{"every fault is told", "a=1&limit=x", api.ObjectFilter{}, "\nlimit \"x\""},
	} {
		t.Run(row.why, func(t *testing.T) {
			q, err := url.ParseQuery(row.query)
			require.NoError(t, err)
			got, err := api.ParseObjectFilter(q)
			if row.fault != "" {
				require.ErrorContains(t, err, row.fault)
				require.ErrorIs(t, err, api.ErrInvalid)
			} else {
				require.NoError(t, err)
			}
			require.Equal(t, row.want, got)
		})
	}
}

func TestParseHistoryFilter(t *testing.T) {
	for _, row := range []struct {
		why, query string
		want       api.HistoryFilter
		fault      string
	}{
		{"all of it", "", api.HistoryFilter{}, ""},
		{"a page of it", "limit=10&before=99", api.HistoryFilter{Limit: 10, Before: 99}, ""},
		{"an object's", "kind=Port&name=a&namespace=web", api.HistoryFilter{Object: api.ObjectRef{Kind: "Port", Namespace: "web", Name: "a"}}, ""},
		{"an object without a name", "kind=Port", api.HistoryFilter{}, "needs its kind and its name"},
		{"an object without a kind", "name=a", api.HistoryFilter{}, "needs its kind and its name"},
		{"a namespace is no object", "namespace=a", api.HistoryFilter{}, "needs its kind and its name"},
		{"before everything", "before=0", api.HistoryFilter{}, `before "0": want a revision, a number from 1`},
		{"two kinds", "kind=a&kind=b", api.HistoryFilter{}, "kind is given 2 times"},
	} {
		t.Run(row.why, func(t *testing.T) {
			q, err := url.ParseQuery(row.query)
			require.NoError(t, err)
			got, err := api.ParseHistoryFilter(q)
			if row.fault != "" {
				require.ErrorContains(t, err, row.fault)
				require.ErrorIs(t, err, api.ErrInvalid)
			} else {
				require.NoError(t, err)
			}
			require.Equal(t, row.want, got)
		})
	}
}

// FuzzParseObjectQueries: they never panic, and a filter that is read is the one that its
// query says.
func FuzzParseObjectQueries(f *testing.F) {
	for _, q := range []string{
		"", "kind=a&kind=b&name=c", "namespace=web&labelSelector=a%3Db&fieldSelector=x&limit=5", "before=7&limit=1&kind=Port&name=a",
		"limit=99999999999999999999", "before=18446744073709551615", "name=%00&kind=%ff",
	} {
		f.Add(q)
	}
	f.Fuzz(func(t *testing.T, query string) {
		q, err := url.ParseQuery(query)
		if err != nil {
			return
		}
		objects, err := api.ParseObjectFilter(q)
		if err != nil {
			require.ErrorIs(t, err, api.ErrInvalid)
			require.Equal(t, api.ObjectFilter{}, objects)
		} else {
			again, err := api.ParseObjectFilter(objects.Query())
			require.NoError(t, err)
			require.Equal(t, objects, again)
			require.Len(t, objects.Query(), len(q), "no field is passed over")
		}
		history, err := api.ParseHistoryFilter(q)
		if err != nil {
			require.ErrorIs(t, err, api.ErrInvalid)
			require.Equal(t, api.HistoryFilter{}, history)
			return
		}
		again, err := api.ParseHistoryFilter(history.Query())
		require.NoError(t, err)
		require.Equal(t, history, again)
		require.Len(t, history.Query(), len(q), "no field is passed over")
	})
}
