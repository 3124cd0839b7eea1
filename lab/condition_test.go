package lab

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"
)

func TestCondition(t *testing.T) {
	for _, row := range []struct {
		why       string
		condition string
		holds     []string
		fails     []string
	}{
		{"A plain value is equal to itself.", "UP", []string{"UP"}, []string{"DOWN", "", "UPS"}},
		{"Numbers are compared as such, however they are written.", "1000", []string{"1000", "1e3", "1000.0"}, []string{"1001", "x"}},
		{"At least.", ">= 5", []string{"5", "6.5"}, []string{"4.9", "five"}},
		{"Less than.", "< 1e6", []string{"999999", "-1"}, []string{"1000000"}},
		{"Unequal, of numbers.", "!= 0", []string{"1", "-1"}, []string{"0", "0.0"}},
		{"Unequal, of words.", "!= UP", []string{"DOWN"}, []string{"UP"}},
		{"A range has both its ends.", "2..5", []string{"2", "3.3", "5"}, []string{"1", "6"}},
		{"An address is no range, for all its dots.", "10.0.0.1", []string{"10.0.0.1"}, []string{"10.0.0.2"}},
		{"A regular expression matches anywhere unless it says where.", "~ ^web-[12]$", []string{"web-1"}, []string{"web-3", "a web-1"}},
		{"Booleans are words.", "true", []string{"true"}, []string{"false"}},
	} {
		t.Run(row.why, func(t *testing.T) {
			c, err := parseCondition(row.condition)
			require.NoError(t, err)
			for _, v := range row.holds {
				require.True(t, c.Holds(v), "%s: %s", row.condition, v)
			}
			for _, v := range row.fails {
				require.False(t, c.Holds(v), "%s: %s", row.condition, v)
			}
		})
	}
}

func TestConditionIsOneOfAList(t *testing.T) {
	c := decoded[Condition](t, "[0, 130, '> 200']")
	for value, want := range map[string]bool{"0": true, "130": true, "201": true, "1": false} {
		require.Equal(t, want, c.Holds(value), value)
	}
	require.Equal(t, "0 or 130 or > 200", c.String())
}

func TestConditionExpandsNames(t *testing.T) {
	c := decoded[Condition](t, "[NAME, '~ ^NAME$']")
	e := c.expanded(func(s string) string { return strings.ReplaceAll(s, "NAME", "web-1") })
	require.True(t, e.Holds("web-1"))
	require.False(t, e.Holds("NAME"))
	require.Equal(t, "web-1 or ~ ^web-1$", e.String())
}

// decoded is a value of its YAML.
func decoded[T any](t *testing.T, text string) T {
	t.Helper()
	var n yaml.Node
	require.NoError(t, yaml.Unmarshal([]byte(text), &n))
	v := new(T)
	d := &decoder{file: "test.yaml"}
	any(v).(ownForm).decode(d, n.Content[0], "")
	require.Empty(t, d.faults)
	return *v
}

func TestTextCondition(t *testing.T) {
	const text = "one\ntwo words\n\nthree\n"
	for _, row := range []struct {
		why, condition string
		want           []string // faults
	}{
		{"A text alone must be in it.", "two", nil},
		{"And if it is not, the fault says what.", "four", []string{`want "four" in it`}},
		{"All of a list must be in it.", "[one, four, five]", []string{`want "four" in it`, `want "five" in it`}},
		{"What must not be in it.", "{lacks: three}", []string{`want no "three" in it`}},
		{"Expressions see lines.", `{matches: "^two .*s$"}`, nil},
		{"An expression that does not match is shown.", `{matches: "^words"}`, []string{"want a match of ^words"}},
		{"White space around the whole does not count.", `{equals: "  one\ntwo words\n\nthree"}`, nil},
		{"Equality is of all of it.", "{equals: one}", []string{`want "one" and nothing else`}},
		{"Lines are counted without empty ones.", "{lines: 3}", nil},
		{"Their number is a condition as well.", "{lines: '> 3'}", []string{"want > 3 lines, it has 3"}},
		{"All conditions must hold.", "{contains: one, lacks: one, lines: 3}", []string{`want no "one" in it`}},
	} {
		t.Run(row.why, func(t *testing.T) {
			c := decoded[TextCondition](t, row.condition)
			require.Equal(t, row.want, c.mismatch(text, func(s string) string { return s }))
		})
	}
}

func TestTextConditionExpandsNames(t *testing.T) {
	c := decoded[TextCondition](t, "{contains: NAME, matches: ^NAME$, equals: NAME, lacks: NAMED}")
	require.Empty(t, c.mismatch("web-1\n", func(s string) string {
		if s == "NAMED" {
			return s
		}
		return map[string]string{"NAME": "web-1", "^NAME$": "^web-1$"}[s]
	}))
}

func TestJSONAt(t *testing.T) {
	var document any
	require.NoError(t, json.Unmarshal([]byte(`{
		"end": {"sum": {"bytes": 12000000, "share": 0.25}},
		"items": [{"name": "a", "up": true}, {"name": "demo/b", "drops": {}}]
	}`), &document))
	for _, row := range []struct{ path, want string }{
		{"end.sum.bytes", "12000000"},
		{"end.sum.share", "0.25"},
		{"items[0].name", "a"},
		{"items[0].up", "true"},
		{"items[*]", "2"},
		{"items[name=demo/b].drops", "{}"},
	} {
		got, err := jsonAt(document, row.path)
		require.NoError(t, err, row.path)
		require.Equal(t, row.want, got, row.path)
	}
	for _, row := range []struct{ why, path, want string }{
		{"A field that is not there is told with those that are.", "end.total", "end.total: there is no field total, only sum"},
		{"A list ends.", "items[2].name", "there is no element [2] of 2"},
		{"A name may be nobody's.", "items[name=c].up", "no element has name=c"},
		{"A number has no fields.", "end.sum.bytes.x", "the field x is asked of what is no object"},
		{"An object has no elements.", "end[0]", "[0] is asked of what is no list"},
		{"A bracket is closed.", "items[0", "a bracket is not closed"},
	} {
		_, err := jsonAt(document, row.path)
		require.ErrorContains(t, err, row.want, row.why)
	}
}

func TestCountersAreComparedByTheirGrowth(t *testing.T) {
	view := func(text string) (v any) {
		require.NoError(t, json.Unmarshal([]byte(text), &v))
		return v
	}
	before := counts{
		ports: map[string]any{"a": view(`{"state": "UP", "rx": {"packets": 10}, "drops": {"X": 1}}`)},
		drops: map[string]float64{"X": 1},
	}
	after := counts{
		ports: map[string]any{"a": view(`{"state": "DOWN", "rx": {"packets": 13}, "drops": {"X": 1, "Y": 2}}`)},
		drops: map[string]float64{"X": 1, "Y": 2},
	}
	for _, row := range []struct {
		why, port, drops string // YAML: path to condition, reason to condition
		want             []string
	}{
		{"What has grown by that much.", "{rx.packets: 3, drops.Y: 2}", "{Y: 2}", nil},
		{"What was there before does not count.", "{drops.X: 0}", "{X: 0}", nil},
		{"A reason that nobody was dropped for is 0.", "{drops.Z: 0}", "{Z: 0}", nil},
		{"Words are as they are now.", "{state: DOWN}", "{}", nil},
		{"All reasons together.", "{}", "{any: 2}", nil},
		{
			"A fault shows what was dropped instead.", "{rx.packets: '> 3'}", "{X: 1}",
			[]string{"port a: rx.packets: want > 3, got 3", "drops: X: want 1, got 0; all of the step: Y 2"},
		},
		{"A counter that does not exist is no 0.", "{rx.frames: 0}", "{}", []string{"port a: rx.frames: want 0, got rx.frames: there is no field frames, only packets"}},
	} {
		t.Run(row.why, func(t *testing.T) {
			s, faults := Decode("s.yaml", []byte("name: s\nabout: x\npods: [{name: a}]\nsteps: [{pause: 1s, expect: {ports: {a: "+row.port+"}, drops: "+row.drops+"}}]"))
			require.Empty(t, faults)
			require.Equal(t, row.want, s.Steps[0].Expect.compare(before, after))
		})
	}
}
