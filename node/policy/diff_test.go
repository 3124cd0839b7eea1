package policy

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluice-net/sluice/firewall/policy"
)

// flowLine is a line of flows.jsonl about a session of 3 packets and 300 bytes there, and 2 and 200 back.
func flowLine(verdict, from, to, protocol, l4, more string) string {
	version := "IPv4"
	if strings.Contains(from, ":") {
		version = "IPv6"
	}
	return fmt.Sprintf(`{"time":"2026-01-02T03:04:05Z","verdict":%q,"IP":{"source":%q,"destination":%q,"ipVersion":%q},"l4":{%s},`+
		`"Type":"L3_L4","event_type":"session-end","protocol":%s,"zone":3,"packets":{"original":3,"reply":2},"bytes":{"original":300,"reply":200}%s}`,
		verdict, from, to, version, l4, protocol, more) + "\n"
}

func tcpLine(from, to string, port int, more string) string {
	return flowLine("FORWARDED", from, to, "6", fmt.Sprintf(`"TCP":{"source_port":40000,"destination_port":%d}`, port), more)
}

func dropLine(reason, port, from, to, protocol string, sport, dport int) string {
	return fmt.Sprintf(`{"time":"2026-01-02T03:04:05Z","port":%q,"frame":7,"reason":%q,"component":"NetworkPolicy","rule":1051,"revision":1,`+
		`"src":%q,"dst":%q,"protocol":%q,"sport":%d,"dport":%d}`, port, reason, from, to, protocol, sport, dport) + "\n"
}

// lines are a difference's groups for people.
func (d *Difference) lines() (list []string) {
	for i := range d.Groups {
		g := &d.Groups[i]
		port := fmt.Sprint(g.Port)
		if g.ICMPType != nil {
			port = fmt.Sprintf("type %d", *g.ICMPType)
		}
		list = append(list, fmt.Sprintf("%s > %s %s %s: %d/%d/%d: %s => %s", g.From, g.To, g.Protocol, port, g.Flows, g.Packets, g.Bytes, &g.Before, &g.After))
	}
	return list
}

func TestDiffer(t *testing.T) {
	e := siteEvaluator(t)
	open, err := newEvaluator(e.model, &policy.Policy{
		Sets: []*policy.Set{nil, {}}, Endpoints: e.Policy.Endpoints, Excluded: policy.None, Default: policy.Rule{Action: policy.Allow},
	})
	require.NoError(t, err)
	for _, row := range []struct {
		why           string
		before, after *Evaluator
		log           string
		want          []string
		flows         int64
		skipped       int64
	}{
		{
			"what was allowed and is allowed is no difference", nil, e,
			tcpLine("10.0.1.11", "10.0.1.10", 80, "") + "\n" + tcpLine("10.0.1.10", "10.0.2.20", 5432, ""), nil, 2, 0,
		},
		{
			"what was allowed, by rules that are known by their numbers, and is denied; flows of one kind are one line", nil, e,
			tcpLine("10.0.1.11", "10.0.2.20", 5432, `,"rules":{"egress":9,"ingress":17}`) + tcpLine("10.0.1.11", "10.0.2.20", 5432, `,"rules":{"egress":9,"ingress":17}`) +
				tcpLine("10.0.1.11", "10.0.2.20", 23, ""),
			[]string{
				"shop/other > shop/db TCP 5432: 2/10/1000: ALLOW OUT 9, IN 17 => DROP IN 1051 isolation.ingress (NetworkPolicy shop/shop isolation)",
				"shop/other > shop/db TCP 23: 1/5/500: ALLOW => REJECT OUT 1010 telnet (SecurityPolicy shop/quarantine)",
			},
			3, 0,
		},
		{
			"packets that were denied, and are not any more; those of one tuple are one flow", nil, open,
			dropLine("POLICY_DENIED", "shop/other", "10.0.1.11", "10.0.2.20", "TCP", 40000, 5432) +
				dropLine("POLICY_DENIED", "shop/other", "10.0.1.11", "10.0.2.20", "TCP", 40000, 5432) +
				dropLine("POLICY_DENIED", "shop/other", "10.0.1.11", "10.0.2.20", "TCP", 40001, 5432) +
				dropLine("POLICY_REJECTED", "shop/other", "10.0.1.11", "10.0.2.20", "ICMP", 0, 0),
			[]string{
				"shop/other > shop/db TCP 5432: 2/3/0: DROP 1051 => ALLOW OUT 2 default, IN 2 default",
				"shop/other > shop/db ICMP type 8: 1/1/0: REJECT 1051 => ALLOW OUT 2 default, IN 2 default",
			},
			3, 0,
		},
		{
			"denied packets that both logs tell of count once, as the first has them", nil, open,
			flowLine("DROPPED", "10.0.1.11", "10.0.2.20", "6", `"TCP":{"source_port":40000,"destination_port":5432}`, `,"drop_reason_desc":"POLICY_REJECTED","rules":{"denied":1051}`) +
				dropLine("POLICY_REJECTED", "shop/other", "10.0.1.11", "10.0.2.20", "TCP", 40000, 5432),
			[]string{"shop/other > shop/db TCP 5432: 1/5/500: REJECT 1051 => ALLOW OUT 2 default, IN 2 default"},
			1, 0,
		},
		{
			"other drops are no matter for rules", nil, e,
			dropLine("SPOOF_GUARD", "shop/other", "10.0.1.11", "10.0.2.20", "TCP", 1, 2) +
				`{"time":"x","port":"a","frame":1,"reason":"POLICY_DENIED","component":"","rule":1000,"revision":1,"src":null,"dst":null,"protocol":"","sport":0,"dport":0}` + "\n" +
				flowLine("ERROR", "10.0.1.11", "10.0.2.20", "6", `"TCP":{"source_port":1,"destination_port":2}`, ""),
			nil, 0, 3,
		},
		{
			"drop instead of reject is no difference", e, e,
			dropLine("POLICY_REJECTED", "shop/other", "10.0.1.11", "10.0.2.20", "TCP", 1, 5432), nil, 1, 0,
		},
		{
			"of two policies, what was recorded does not count", open, e,
			tcpLine("10.0.1.11", "10.0.2.20", 5432, `,"rules":{"egress":9,"ingress":17}`) +
				dropLine("POLICY_DENIED", "shop/other", "10.0.1.11", "10.0.2.20", "TCP", 40000, 5432),
			[]string{
				"shop/other > shop/db TCP 5432: 2/6/500: ALLOW OUT 2 default, IN 2 default => DROP IN 1051 isolation.ingress (NetworkPolicy shop/shop isolation)",
			},
			2, 0,
		},
		{
			"and the other way round", e, open,
			tcpLine("10.0.1.11", "10.0.2.20", 5432, ""),
			[]string{
				"shop/other > shop/db TCP 5432: 1/5/500: DROP IN 1051 isolation.ingress (NetworkPolicy shop/shop isolation) => ALLOW OUT 2 default, IN 2 default",
			},
			1, 0,
		},
		{
			"a workload goes by its name, wherever it was", nil, e,
			tcpLine("10.77.0.1", "10.77.0.2", 5432, `,"source":{"namespace":"shop","pod_name":"other"},"destination":{"namespace":"shop","pod_name":"db"}`),
			[]string{"shop/other > shop/db TCP 5432: 1/5/500: ALLOW => DROP IN 1051 isolation.ingress (NetworkPolicy shop/shop isolation)"},
			1, 0,
		},
		{
			"one that is not there any more goes by its address, and is shown by its name", nil, e,
			tcpLine("10.0.9.9", "10.0.2.20", 5432, `,"source":{"namespace":"old","pod_name":"gone"}`) + tcpLine("192.0.2.9", "10.0.2.20", 5432, ""),
			[]string{
				"192.0.2.9 > shop/db TCP 5432: 1/5/500: ALLOW => DROP IN 1051 isolation.ingress (NetworkPolicy shop/shop isolation)",
				"old/gone > shop/db TCP 5432: 1/5/500: ALLOW => DROP IN 1051 isolation.ingress (NetworkPolicy shop/shop isolation)",
			},
			2, 0,
		},
		{
			"after load balancing", nil, e,
			flowLine("TRANSLATED", "10.0.1.11", "198.51.100.80", "6", `"TCP":{"source_port":40000,"destination_port":80}`,
				`,"translated":{"source":"10.0.1.11","destination":"10.0.2.20","source_port":40000,"destination_port":8080},"destination":{"namespace":"shop","pod_name":"db"}`),
			[]string{"shop/other > shop/db TCP 8080: 1/5/500: ALLOW => DROP IN 1051 isolation.ingress (NetworkPolicy shop/shop isolation)"},
			1, 0,
		},
		{
			"a rule about frames", nil, e,
			flowLine("FORWARDED", "fd00:2::66", "fd00:1::a", "6", `"TCP":{"source_port":40000,"destination_port":80}`, ""),
			[]string{"shop/six > shop/web TCP 80: 1/5/500: ALLOW => DROP IN 1000 no-v6-to-web (SecurityPolicy shop/frames)"},
			1, 0,
		},
		{
			"pings and others", nil, e,
			flowLine("FORWARDED", "fd00:2::66", "fd00:2::14", "58", `"ICMPv6":{"type":128,"id":9}`, "") +
				flowLine("FORWARDED", "10.0.1.11", "10.0.2.20", "1", `"ICMPv4":{"type":13,"id":9}`, "") +
				flowLine("FORWARDED", "10.0.1.11", "10.0.2.20", "47", "", "") +
				flowLine("DROPPED", "10.0.1.11", "10.0.1.10", "17", `"UDP":{"source_port":1,"destination_port":53}`, ""),
			[]string{
				"shop/other > shop/db GRE 0: 1/5/500: ALLOW => DROP IN 1051 isolation.ingress (NetworkPolicy shop/shop isolation)",
				"shop/other > shop/db ICMP type 13: 1/5/500: ALLOW => DROP IN 1051 isolation.ingress (NetworkPolicy shop/shop isolation)",
			},
			4, 0,
		},
	} {
		t.Run(row.why, func(t *testing.T) {
			d := NewDiffer(row.before, row.after)
			require.NoError(t, d.Read(strings.NewReader(row.log), nil))
			got := d.Result()
			require.Equal(t, row.want, got.lines())
			require.Equal(t, row.flows, got.Flows)
			require.Equal(t, row.skipped, got.Skipped)
			var sum Counts
			for i := range got.Groups {
				c := &got.Groups[i].Counts
				sum.Flows += c.Flows
				sum.Packets += c.Packets
				sum.Bytes += c.Bytes
			}
			require.Equal(t, sum, got.Changed)
			require.Equal(t, sum.Flows, got.Allowed.Flows+got.Denied.Flows)
		})
	}
}

func TestDifferRefuses(t *testing.T) {
	good := tcpLine("10.0.1.11", "10.0.1.10", 80, "")
	for _, row := range []struct{ why, log, want string }{
		{"no JSON", good + "\nhello\n", "line 3: invalid character 'h'"},
		{"another kind of JSON", good + `{"a":1}`, `line 2: neither a line of flows.jsonl, which has "verdict", nor of drops.jsonl, which has "reason"`},
		{"a flow without addresses", `{"verdict":"FORWARDED"}`, "line 1: neither"},
		{"no protocol", `{"verdict":"FORWARDED","IP":{"source":"10.0.0.1","destination":"10.0.0.2"}}`, `line 1: there is no "protocol"`},
		{"a protocol that is none", `{"verdict":"FORWARDED","IP":{"source":"10.0.0.1","destination":"10.0.0.2"},"protocol":999}`, `line 1: protocol "999": want`},
		{"two IP versions", flowLine("FORWARDED", "10.0.0.1", "fd00::1", "6", "", ""), "line 1: 10.0.0.1 and fd00::1 are of two IP versions"},
		{"an address that is none", `{"verdict":"FORWARDED","IP":{"source":"10.0.0","destination":"10.0.0.2"},"protocol":6}`, "line 1: "},
		{"an endless line", strings.Repeat("x", maxLine+10), "line 1: bufio.Scanner: token too long"},
	} {
		t.Run(row.why, func(t *testing.T) {
			err := NewDiffer(nil, siteEvaluator(t)).Read(strings.NewReader(row.log), nil)
			require.ErrorContains(t, err, row.want)
		})
	}
}

// Whoever is scanned by half the world has many groups: the first are listed, the others counted.
func TestDifferBoundsItsGroups(t *testing.T) {
	d := NewDiffer(nil, siteEvaluator(t))
	var b strings.Builder
	const flows = maxGroups + 100
	for i := range flows {
		b.WriteString(tcpLine(fmt.Sprintf("198.51.%d.%d", i>>8, i&0xff), "10.0.2.20", 5432, ""))
	}
	told := int64(0)
	require.NoError(t, d.Read(strings.NewReader(b.String()), func(lines, bytes int64) {
		require.Greater(t, lines, told)
		require.LessOrEqual(t, bytes, int64(b.Len()))
		told = lines
	}))
	require.EqualValues(t, flows/4096*4096, told)
	r := d.Result()
	require.Len(t, r.Groups, maxGroups)
	require.Equal(t, Counts{100, 500, 50_000}, r.Omitted)
	require.EqualValues(t, flows, r.Changed.Flows)
}

func BenchmarkDiffer(b *testing.B) {
	e := siteEvaluator(b)
	var log strings.Builder
	const lines = 1000
	for i := range lines {
		log.WriteString(tcpLine(fmt.Sprintf("10.0.1.%d", i&0x7f), "10.0.2.20", 5432, `,"source":{"namespace":"shop","pod_name":"web","labels":["app=web","tier=front"]}`))
	}
	d := NewDiffer(nil, e)
	b.SetBytes(int64(log.Len()))
	for b.Loop() {
		require.NoError(b, d.Read(strings.NewReader(log.String()), nil))
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/lines, "ns/line")
}
