package main

import (
	"bytes"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"
)

func TestGrid(t *testing.T) {
	rows := func() [][]string {
		return [][]string{{"web", "UP", ""}, {"a-rather-long-name", "ABSENT", "no such device:\nmake it\x1b[2J (ip link add tap2 type veth)"}}
	}
	for _, row := range []struct {
		why    string
		screen screen
		want   string
	}{
		{
			"a pipe gets all there is, without what would move a terminal's cursor",
			screen{},
			"NAME                 STATE    MESSAGE\n" +
				"web                  UP       <none>\n" +
				"a-rather-long-name   ABSENT   no such device:; make it [2J (ip link add tap2 type veth)\n",
		},
		{
			"a terminal cuts the widest column",
			screen{width: 50},
			"NAME                 STATE    MESSAGE\n" +
				"web                  UP       <none>\n" +
				"a-rather-long-name   ABSENT   no such device:; ma…\n",
		},
		{
			"in a narrow one, two",
			screen{width: 36},
			"NAME           STATE    MESSAGE\n" +
				"web            UP       <none>\n" +
				"a-rather-lo…   ABSENT   no such dev…\n",
		},
		{
			"one of no use at all gets lines that it wraps",
			screen{width: 5},
			"NAME       STATE    MESSAGE\n" +
				"web        UP       <none>\n" +
				"a-rathe…   ABSENT   no such…\n",
		},
		{
			"colours don't change where things stand",
			screen{colour: true, width: 36},
			"\x1b[1mNAME\x1b[0m           \x1b[1mSTATE\x1b[0m    \x1b[1mMESSAGE\x1b[0m\n" +
				"web            \x1b[32mUP\x1b[0m       <none>\n" +
				"a-rather-lo…   \x1b[31mABSENT\x1b[0m   no such dev…\n",
		},
	} {
		t.Run(row.why, func(t *testing.T) {
			var b bytes.Buffer
			s := row.screen
			s.w = &b
			g := grid{screen: &s, header: []string{"NAME", "STATE", "MESSAGE"}}
			require.NoError(t, g.print(rows()))
			require.Equal(t, row.want, b.String())
			if s.width > 10 && !s.colour {
				for line := range strings.Lines(b.String()) {
					require.LessOrEqual(t, utf8.RuneCountInString(strings.TrimSuffix(line, "\n")), s.width)
				}
			}
		})
	}
}

// Rows that come later stand below those before, and get room if they need it.
func TestGridGrows(t *testing.T) {
	var b bytes.Buffer
	g := grid{screen: &screen{w: &b}, header: []string{"NAME", "AGE"}}
	require.NoError(t, g.print(nil))
	require.Empty(t, b.String(), "no header without rows")
	for _, name := range []string{"web", "database", "db"} {
		require.NoError(t, g.print([][]string{{name, "1s"}}))
	}
	require.Equal(t, "NAME   AGE\nweb    1s\ndatabase   1s\ndb         1s\n", b.String())
}

func TestDiffColours(t *testing.T) {
	const diff = "--- a\n+++ b\n@@ -1 +1 @@\n-mtu: 1500\n+mtu: 9000\n kind: Port"
	for _, row := range []struct {
		why    string
		colour bool
		want   string
	}{
		{"a pipe gets the diff that patch reads", false, diff},
		{"a terminal shows what is old in red and what is new in green", true, "\x1b[1m--- a\x1b[0m\n\x1b[1m+++ b\x1b[0m\n\x1b[36m@@ -1 +1 @@\x1b[0m\n\x1b[31m-mtu: 1500\x1b[0m\n\x1b[32m+mtu: 9000\x1b[0m\n kind: Port"},
	} {
		var b bytes.Buffer
		s := screen{w: &b, colour: row.colour}
		require.NoError(t, s.printDiff(diff))
		require.Equal(t, row.want, b.String(), row.why)
	}
}
