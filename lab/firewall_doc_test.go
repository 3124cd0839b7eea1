package lab

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluice-net/sluice/api"
	"github.com/sluice-net/sluice/control"
	"github.com/sluice-net/sluice/node/policy"
)

// TestFirewallGuide: the examples of docs/firewall.md, each added to those before, are sound and do what the text says.
func TestFirewallGuide(t *testing.T) {
	guide, err := os.ReadFile("../docs/firewall.md")
	require.NoError(t, err)
	rows := map[string][]guideRow{
		"A first policy": {
			{"The web servers reach the database.", "shop/web-1", "shop/db:5432", "tcp", api.SecurityAllow, "web-to-db"},
			{"In IPv6 too.", "fd00:1::10", "[fd00:1::20]:5432", "tcp", api.SecurityAllow, "web-to-db"},
			{"By no other port.", "shop/web-1", "shop/db:22", "tcp", api.SecurityDrop, "nothing-else"},
			{"Nobody else does.", "ops/admin", "shop/db:5432", "tcp", api.SecurityDrop, "nothing-else"},
			{"Nor does it reach anybody.", "shop/db", "192.0.2.9:443", "tcp", api.SecurityDrop, "nothing-else"},
			{"Others are not concerned.", "ops/admin", "shop/web-1:22", "tcp", api.SecurityAllow, "default"},
		},
		"Services": {
			{"A range of ports.", "198.51.100.1", "shop/web-1:8003", "tcp", api.SecurityAllow, "public"},
			{"A service in a service.", "198.51.100.1", "shop/web-1:443", "udp", api.SecurityAllow, "public"},
			{"Pings.", "198.51.100.1", "shop/web-1", "icmp", api.SecurityAllow, "public"},
			{"Nothing else comes in.", "198.51.100.1", "shop/web-1:8011", "tcp", api.SecurityReject, "nothing-else"},
			{"What goes out is free.", "shop/web-1", "198.51.100.1:8011", "tcp", api.SecurityAllow, "default"},
		},
		"The order": {
			{"A category before Application decides first.", "198.51.100.1", "shop/db:22", "tcp", api.SecurityReject, "no-ssh"},
			{"What it passes on is decided there: by the database's own policy.", "ops/admin", "shop/db:22", "tcp", api.SecurityDrop, "nothing-else"},
			{"Members of the expression: the labels of a port and its namespace's name.", "shop/web-2", "192.0.2.1:22", "tcp", api.SecurityAllow, "default"},
			{"Nobody is in quarantine.", "shop/web-1", "shop/db:5432", "tcp", api.SecurityAllow, "web-to-db"},
		},
		"Kubernetes": {
			{"The hand-made policy decides, and the NetworkPolicy is never asked.", "192.0.2.7", "shop/db:5432", "tcp", api.SecurityDrop, "nothing-else"},
		},
		"Without state": {
			{"To it.", "shop/web-1", "192.0.2.7:514", "udp", api.SecurityAllow, "to-it"},
			{"And back.", "192.0.2.7:514", "shop/web-1:40000", "udp", api.SecurityAllow, "back"},
		},
		"What a change does to open connections": {
			{"The console is let in before the policy that follows.", "ops/admin", "shop/db:22", "tcp", api.SecurityAllow, "consoles-to-db"},
		},
		"Limits and floods": {
			{"A guest is let in, as far as the limits go.", "203.0.113.99", "shop/web-1:8443", "tcp", api.SecurityAllow, "guests"},
		},
		"The last rule, and who is left out": {
			{"What no rule matches is dropped.", "shop/web-1", "198.51.100.1:8011", "tcp", api.SecurityDrop, "default"},
			{"But of those who are left out: the receiver's rules are asked alone.", "ops/admin", "198.51.100.1:8011", "tcp", api.SecurityAllow, ""},
		},
	}
	var objects []*control.Object
	blocks := 0
	for _, part := range regexp.MustCompile(`(?m)^##+ `).Split(string(guide), -1) {
		title, body, _ := strings.Cut(part, "\n")
		for _, block := range regexp.MustCompile("(?s)```yaml\n(.*?)```").FindAllStringSubmatch(body, -1) {
			blocks++
			more, faults := control.Decode("firewall.md", []byte(block[1]), control.Options{})
			require.Empty(t, faults, title)
			objects = append(objects, more...)
		}
		if rows[title] == nil {
			continue
		}
		model, faults := control.Compile(control.Input{Objects: objects, Revision: 1})
		require.Empty(t, faults, title)
		e, err := policy.NewEvaluator(model)
		require.NoError(t, err)
		for _, row := range rows[title] {
			t.Run(title+": "+row.why, func(t *testing.T) { row.check(t, e) })
		}
		delete(rows, title)
	}
	require.Empty(t, rows, "there are no such parts of the guide")
	require.Equal(t, 11, blocks)
}

// guideRow is a question, and what the guide says of it.
type guideRow struct {
	why, from, to, protocol string
	want                    api.SecurityAction
	by                      string // a rule at one of the ends; empty: none is asked
}

func (r *guideRow) check(t *testing.T, e *policy.Evaluator) {
	a, err := e.Evaluate(&api.PolicyQuery{From: r.from, To: r.to, Protocol: r.protocol})
	require.NoError(t, err)
	require.Equal(t, r.want, a.Verdict, "%+v %+v", a.Egress.Rule, a.Ingress.Rule)
	var by []string
	for _, at := range []*api.PolicyPoint{&a.Egress, &a.Ingress} {
		if at.Rule != nil {
			by = append(by, at.Rule.Name)
		}
	}
	if r.by == "" {
		require.Empty(t, by)
		return
	}
	require.Contains(t, by, r.by)
}
