package replay_test

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluice-net/sluice/control"
	"github.com/sluice-net/sluice/export"
	"github.com/sluice-net/sluice/internal/frametext"
	"github.com/sluice-net/sluice/node/replay"
	"github.com/sluice-net/sluice/port/pcap"
)

// application is a front end, a server and a database, on one segment; the front end may talk to the server, the server to
// the database, and nobody else to anybody.
const application = `
apiVersion: v1
kind: List
items:
- {apiVersion: sluice.dev/v1, kind: NodeConfig, metadata: {name: node}, spec: {defaultRule: {action: DROP}}}
- {apiVersion: sluice.dev/v1, kind: Segment, metadata: {name: s}, spec: {router: none}}
- {apiVersion: sluice.dev/v1, kind: Port, metadata: {name: web, namespace: shop, labels: {tier: web}}, spec: {segment: s, addresses: [{ip: 10.0.0.1}]}}
- {apiVersion: sluice.dev/v1, kind: Port, metadata: {name: app, namespace: shop, labels: {tier: app}}, spec: {segment: s, addresses: [{ip: 10.0.0.2}]}}
- {apiVersion: sluice.dev/v1, kind: Port, metadata: {name: db, namespace: shop, labels: {tier: db}}, spec: {segment: s, addresses: [{ip: 10.0.0.3}]}}
- {apiVersion: sluice.dev/v1, kind: Group, metadata: {name: web, namespace: shop}, spec: {podSelector: {matchLabels: {tier: web}}}}
- {apiVersion: sluice.dev/v1, kind: Group, metadata: {name: app, namespace: shop}, spec: {podSelector: {matchLabels: {tier: app}}}}
- {apiVersion: sluice.dev/v1, kind: Group, metadata: {name: db, namespace: shop}, spec: {podSelector: {matchLabels: {tier: db}}}}
- apiVersion: sluice.dev/v1
  kind: SecurityPolicy
  metadata: {name: tiers, namespace: shop}
  spec:
    rules:
    - {name: web-app, sourceGroups: [web], destinationGroups: [app], serviceEntries: [{l4Protocol: TCP, destinationPorts: ['4567']}], logged: true, tag: shop}
    - {name: app-db, sourceGroups: [app], destinationGroups: [db], serviceEntries: [{l4Protocol: TCP, destinationPorts: ['5432']}]}
    - {name: no, action: REJECT, destinationGroups: [db], logged: true}
`

// conversation is who sends what; a line each.
var conversation = []struct{ port, frame string }{
	{"shop/web", "tcp 10.0.0.1:1000 > 10.0.0.2:4567 S seq 100"},
	{"shop/app", "tcp 10.0.0.2:4567 > 10.0.0.1:1000 SA seq 500 ack 101"},
	{"shop/web", "tcp 10.0.0.1:1000 > 10.0.0.2:4567 A seq 101 ack 501"},
	{"shop/app", "tcp 10.0.0.2:2000 > 10.0.0.3:5432 S seq 100"},
	{"shop/db", "tcp 10.0.0.3:5432 > 10.0.0.2:2000 SA seq 500 ack 101"},
	{"shop/web", "tcp 10.0.0.1:1001 > 10.0.0.3:5432 S seq 100"}, // past the server
	{"shop/web", "tcp 10.0.0.1:1001 > 10.0.0.3:5432 S seq 100"},
	{"shop/db", "udp 10.0.0.3:1000 > 10.0.0.1:53 len 10"}, // the database has no business of its own
	{"shop/web", "tcp 10.0.0.1:1000 > 10.0.0.2:4567 R seq 101"},
	{"shop/web", "arp 10.0.0.1 who-has 10.0.0.2"},
}

// captures writes the conversation, a frame each millisecond, into a capture for each port.
func captures(t *testing.T, dir string) (inputs []replay.Input) {
	writers := map[string]*pcap.Writer{}
	for i, line := range conversation {
		w := writers[line.port]
		if w == nil {
			path := filepath.Join(dir, strings.ReplaceAll(line.port, "/", ".")+".in.pcap")
			var err error
			w, err = pcap.Create(path)
			require.NoError(t, err)
			writers[line.port] = w
			inputs = append(inputs, replay.Input{Port: line.port, File: path})
		}
		frame, err := frametext.Parse(line.frame)
		require.NoError(t, err)
		at := int64(i+1) * 1e6
		if i == len(conversation)-1 {
			at += 60e9 // when the session before is over
		}
		require.NoError(t, w.Write(at, frame, len(frame)))
	}
	for _, w := range writers {
		require.NoError(t, w.Close())
	}
	return inputs
}

// lines decodes a file of JSON lines.
func lines[T any](t *testing.T, path string) (all []T) {
	data, err := os.ReadFile(path)
	require.NoError(t, err)
	for line := range strings.Lines(string(data)) {
		var v T
		require.NoError(t, json.Unmarshal([]byte(line), &v), line)
		all = append(all, v)
	}
	return all
}

// A replay says which rule has let what pass and which has refused what, in all of its results.
func TestPolicy(t *testing.T) {
	m := model(t, application)
	id := ruleIDs(m)
	inputs := captures(t, t.TempDir())
	var first string
	for _, workers := range []int{1, 2, 4} {
		dir := t.TempDir()
		report, err := replay.Run(context.Background(), replay.Config{Model: m, Inputs: inputs, Out: dir, Workers: workers, Seed: 1})
		require.NoError(t, err)
		require.Zero(t, report.Ledger.Unexplained)
		if first == "" {
			first = digest(t, dir)
		}
		require.Equal(t, first, digest(t, dir), "%d workers", workers)

		count := func(rule string) replay.RuleReport { return report.Rules[strconv.Itoa(int(id[rule]))] }
		require.Equal(t, replay.RuleReport{Section: "SecurityPolicy shop/tiers", Rule: "web-app", Packets: 4, Bytes: 4 * 54, Sessions: 1}, count("web-app"))
		require.Equal(t, replay.RuleReport{Section: "SecurityPolicy shop/tiers", Rule: "app-db", Packets: 2, Bytes: 2 * 54, Sessions: 1}, count("app-db"))
		require.Equal(t, replay.RuleReport{Section: "SecurityPolicy shop/tiers", Rule: "no", Packets: 2, Bytes: 2 * 54}, count("no"))
		require.Equal(t, replay.RuleReport{Rule: "default", Packets: 1, Bytes: 52}, report.Rules["2"])

		drops := lines[replay.Drop](t, filepath.Join(dir, "drops.jsonl"))
		require.Len(t, drops, 3)
		for i, want := range []replay.Drop{
			{Port: "shop/web", Frame: 2, Reason: "POLICY_REJECTED", Rule: id["no"]},
			{Port: "shop/web", Frame: 3, Reason: "POLICY_REJECTED", Rule: id["no"]},
			{Port: "shop/db", Frame: 1, Reason: "POLICY_DENIED", Rule: 2},
		} {
			got := drops[i]
			require.Equal(t, want, replay.Drop{Port: got.Port, Frame: got.Frame, Reason: got.Reason, Rule: got.Rule})
			require.Equal(t, "NetworkPolicy", got.Component)
		}

		flows := lines[export.Flow](t, filepath.Join(dir, "flows.jsonl"))
		require.Len(t, flows, 4)
		var verdicts []string
		for _, f := range flows {
			verdicts = append(verdicts, f.Verdict+" "+f.Source.PodName+" "+f.Dest.PodName+" "+f.DropReason)
		}
		require.ElementsMatch(t, []string{
			"FORWARDED web app ", "FORWARDED app db ", "DROPPED web db POLICY_REJECTED", "DROPPED db web POLICY_DENIED",
		}, verdicts)
		require.Equal(t, &export.FlowRules{Denied: id["no"]}, flows[2].Rules)
		require.Equal(t, export.Directions{Original: 2}, flows[2].Packets)

		log, err := os.ReadFile(filepath.Join(dir, "firewall.log"))
		require.NoError(t, err)
		var said []string
		for line := range strings.Lines(string(log)) {
			words := strings.Fields(line)
			said = append(said, strings.Join(words[3:], " ")) // without time, port and family
		}
		rule := func(name string) string { return "shop/tiers/" + strconv.Itoa(int(id[name])) }
		require.Equal(t, []string{
			"match PASS " + rule("web-app") + " OUT 40 TCP 10.0.0.1/1000->10.0.0.2/4567 S shop",
			"match PASS " + rule("web-app") + " IN 40 TCP 10.0.0.1/1000->10.0.0.2/4567 S shop",
			"match REJECT " + rule("no") + " OUT 40 TCP 10.0.0.1/1001->10.0.0.3/5432 S",
			"match REJECT " + rule("no") + " OUT 40 TCP 10.0.0.1/1001->10.0.0.3/5432 S",
		}, said[:4])
		require.Len(t, said, 6, "the session's end, at both ports")
		for _, line := range said[4:] {
			require.Contains(t, line, "TERM")
			require.Contains(t, line, "RST")
		}
	}
}

// ruleIDs are the numbers of a model's rules by name.
func ruleIDs(m *control.Model) map[string]uint32 {
	id := map[string]uint32{}
	for _, s := range m.Firewall.Sections {
		for i := range s.Rules {
			id[s.Rules[i].Name] = s.Rules[i].ID
		}
	}
	return id
}
