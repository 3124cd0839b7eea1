package node_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluice-net/sluice/api"
	"github.com/sluice-net/sluice/node"
	"github.com/sluice-net/sluice/port/mem"
)

// shop is a web server, a database, a host that nobody filters, and rules of several kinds about them.
const shop = `apiVersion: sluice.dev/v1
kind: Segment
metadata: {name: net}
spec: {subnets: [{cidr: 10.0.1.0/24}]}
---
apiVersion: sluice.dev/v1
kind: NodeConfig
metadata: {name: this}
spec: {defaultRule: {action: ALLOW}, firewall: {exclude: [free]}}
---
apiVersion: sluice.dev/v1
kind: Port
metadata: {name: web, namespace: shop, labels: {app: web}}
spec: {segment: net, addresses: [{ip: 10.0.1.10}]}
---
apiVersion: sluice.dev/v1
kind: Port
metadata: {name: db, namespace: shop, labels: {app: db}}
spec: {segment: net, addresses: [{ip: 10.0.1.20}]}
---
apiVersion: sluice.dev/v1
kind: Port
metadata: {name: blank, namespace: shop, labels: {app: db}}
spec: {segment: net, guard: false}
---
apiVersion: sluice.dev/v1
kind: Port
metadata: {name: free}
spec: {segment: net, addresses: [{ip: 10.0.1.30}]}
---
apiVersion: sluice.dev/v1
kind: Group
metadata: {name: free}
spec: {ports: [free]}
---
apiVersion: sluice.dev/v1
kind: Group
metadata: {name: web, namespace: shop}
spec: {podSelector: {matchLabels: {app: web}}, ipAddresses: [192.0.2.0/24]}
---
apiVersion: sluice.dev/v1
kind: Group
metadata: {name: db, namespace: shop}
spec: {podSelector: {matchLabels: {app: db}}}
---
apiVersion: sluice.dev/v1
kind: Group
metadata: {name: nobody, namespace: shop}
spec: {}
---
apiVersion: sluice.dev/v1
kind: SecurityPolicy
metadata: {name: db, namespace: shop}
spec:
  category: Application
  sequenceNumber: 10
  scope: [db]
  rules:
  - {name: web, direction: IN, sourceGroups: [web], destinationGroups: [db], serviceEntries: [{l4Protocol: UDP, destinationPorts: ["5432"]}], action: ALLOW, sessionLimits: {perRule: 100}}
  - {name: rest, direction: IN, action: DROP}
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: web, namespace: shop}
spec: {podSelector: {matchLabels: {app: web}}, policyTypes: [Ingress], ingress: [{ports: [{protocol: UDP, port: 80}]}]}
---
apiVersion: sluice.dev/v1
kind: FloodProtectionProfile
metadata: {name: tight}
spec: {appliedTo: [shop/db], udpActiveFlowLimit: 7}
---
apiVersion: sluice.dev/v1
kind: SessionTimerProfile
metadata: {name: short}
spec: {appliedTo: [shop/db], timers: {udpMultiple: 10}}
`

func shopNode(t *testing.T) (*node.Node, *memDevices) {
	t.Helper()
	devices := &memDevices{byName: map[string]*mem.Port{}}
	n, err := node.New(node.Options{Workers: 2, Open: devices.open, Buffers: 4096, Supers: 4}, compile(t, shop))
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, n.Close()) })
	return n, devices
}

// ruleText is what matters of a rule, in a line.
func ruleText(v *api.RuleView) string {
	return fmt.Sprintf("%d %s %s/%s %s %s at %s", v.Order, v.Category, v.Section, v.Name, v.Action, v.Direction, strings.Join(v.AppliedTo, "+"))
}

func ruleTexts(list []api.RuleView) (texts []string) {
	for i := range list {
		texts = append(texts, ruleText(&list[i]))
	}
	return texts
}

func TestRuleViews(t *testing.T) {
	n, devices := shopNode(t)
	all := list(t, n.RuleViews, api.Filter{})
	require.Equal(t, []string{
		"1 Application shop/db/web ALLOW IN at shop/blank+shop/db",
		"2 Application shop/db/rest DROP IN at shop/blank+shop/db",
		"3 Application " + all[2].Section + "/ingress[0] ALLOW IN at shop/web",
		"4 Application " + all[3].Section + "/isolation.ingress DROP IN at shop/web",
		"5 Application /default ALLOW IN_OUT at ",
	}, ruleTexts(all))
	require.Equal(t, &api.ObjectRef{Kind: "SecurityPolicy", Namespace: "shop", Name: "db"}, all[0].Origin)
	require.Equal(t, &api.ObjectRef{Kind: "NetworkPolicy", Namespace: "shop", Name: "web"}, all[3].Origin)
	require.Equal(t, []string{"web"}, all[0].Sources)
	require.Equal(t, 100, all[0].MaxSessions)
	require.Equal(t, []int{2, 2, 1, 1, 3}, []int{all[0].Ports, all[1].Ports, all[2].Ports, all[3].Ports, all[4].Ports})
	require.Equal(t, uint32(2), all[4].ID)
	require.Nil(t, all[4].Origin)

	for _, row := range []struct {
		why  string
		f    api.Filter
		want []int // orders
	}{
		{"of the database's port", api.Filter{Port: "shop/db"}, []int{1, 2, 5}},
		{"of the web server's", api.Filter{Port: "shop/web"}, []int{3, 4, 5}},
		{"none are at a port that is excluded", api.Filter{Port: "free"}, nil},
		{"by the object that they are made of", api.Filter{Section: "shop/db"}, []int{1, 2}},
		{"of two sections of one object", api.Filter{Section: "web"}, []int{3, 4}},
		{"by action", api.Filter{State: "drop"}, []int{2, 4}},
		{"by ID", api.Filter{Names: []string{fmt.Sprint(all[3].ID), "2"}}, []int{4, 5}},
		{"by all of these", api.Filter{Port: "shop/web", State: "ALLOW", Section: "web"}, []int{3}},
		{"nothing has been decided yet", api.Filter{Unused: true}, []int{1, 2, 3, 4, 5}},
	} {
		var got []int
		for _, v := range list(t, n.RuleViews, row.f) {
			got = append(got, v.Order)
		}
		require.Equal(t, row.want, got, row.why)
	}

	step(t, n, devices.byName["shop/web"], "udp 10.0.1.10:4000 > 10.0.1.20:5432 len 20")
	step(t, n, devices.byName["shop/db"], "udp 10.0.1.20:5432 > 10.0.1.10:4000 len 20")
	step(t, n, devices.byName["shop/web"], "udp 10.0.1.10:4000 > 10.0.1.20:53 len 20")
	all = list(t, n.RuleViews, api.Filter{})
	require.Equal(t, []uint64{2, 1, 0, 0}, []uint64{all[0].Packets, all[1].Packets, all[2].Packets, all[3].Packets})
	require.Equal(t, []uint64{1, 0}, []uint64{all[0].Sessions, all[1].Sessions})
	require.Equal(t, uint64(2*62), all[0].Bytes)
	require.WithinDuration(t, all[0].LastHit, all[1].LastHit, 1e9*60)
	require.False(t, all[0].LastHit.IsZero())
	require.True(t, all[2].LastHit.IsZero())
	require.Equal(t, []int{3, 4}, []int{list(t, n.RuleViews, api.Filter{Unused: true})[0].Order, list(t, n.RuleViews, api.Filter{Unused: true})[1].Order})
}

func TestPolicyAndGroupViews(t *testing.T) {
	n, devices := shopNode(t)
	step(t, n, devices.byName["shop/web"], "udp 10.0.1.10:4000 > 10.0.1.20:5432 len 20")
	step(t, n, devices.byName["shop/web"], "udp 10.0.1.10:4000 > 10.0.1.20:53 len 20")
	policies := list(t, n.PolicyViews, api.Filter{})
	require.GreaterOrEqual(t, len(policies), 3)
	require.Equal(t, "shop/db", policies[0].Name)
	require.Equal(t, 2, policies[0].Rules)
	require.Equal(t, uint64(2), policies[0].Packets)
	require.Equal(t, uint64(1), policies[0].Sessions)
	require.False(t, policies[0].LastHit.IsZero())
	for i, v := range policies {
		require.Equal(t, i+1, v.Order)
	}
	require.Len(t, list(t, n.PolicyViews, api.Filter{Section: "shop/web"}), 2)
	require.Empty(t, list(t, n.PolicyViews, api.Filter{State: "emergency"}))

	groups := list(t, n.GroupViews, api.Filter{})
	require.Equal(t, []string{"free", "shop/db", "shop/nobody", "shop/web"}, namesOf(groups, func(v api.GroupView) string { return v.Name }))
	db, nobody, web := groups[1], groups[2], groups[3]
	require.Equal(t, []string{"shop/blank", "shop/db"}, []string{db.Ports[0].Name, db.Ports[1].Name})
	require.Empty(t, db.Ports[0].Addresses)
	require.Equal(t, []string{"rules by source and destination never match members without an address: shop/blank"}, db.Warnings)
	require.Equal(t, []string{"destination", "appliedTo"}, db.UsedBy[0].As)
	require.Equal(t, []string{"appliedTo"}, db.UsedBy[1].As)
	require.Equal(t, []string{"nobody is in it: rules about it match nothing"}, nobody.Warnings)
	require.Equal(t, "192.0.2.0/24", web.Prefixes[0].String())
	require.Equal(t, []string{"source"}, web.UsedBy[0].As)
	require.Empty(t, web.Warnings)
	require.Equal(t, []string{"shop/db"}, namesOf(list(t, n.GroupViews, api.Filter{Port: "shop/db"}), func(v api.GroupView) string { return v.Name }))
	inNet, err := api.ParseAddress("192.0.2.9")
	require.NoError(t, err)
	require.Equal(t, []string{"shop/web"}, namesOf(list(t, n.GroupViews, api.Filter{Address: inNet}), func(v api.GroupView) string { return v.Name }))

	ports := list(t, n.PortViews, api.Filter{Names: []string{"free", "shop/db", "shop/web"}})
	require.Equal(t, &api.PortFirewall{Reason: "the port is on the exclusion list"}, ports[0].Firewall)
	require.Equal(t, &api.PortFirewall{
		Filtered: true, Default: api.SecurityAllow, TimerProfile: "short", FloodProfile: "tight", FloodCaps: &api.FloodCaps{UDP: 7},
	}, ports[1].Firewall)
	require.Equal(t, &api.PortFirewall{Filtered: true, Default: api.SecurityAllow}, ports[2].Firewall)
}

// What a question is answered is what becomes of the packet.
func TestEvaluatePolicyIsWhatPacketsMeet(t *testing.T) {
	n, devices := shopNode(t)
	for _, row := range []struct {
		why      string
		from, to string
		port     uint16
		frame    string
		verdict  api.SecurityAction
	}{
		{"a rule lets it in", "shop/web", "shop/db", 5432, "udp 10.0.1.10:49152 > 10.0.1.20:5432", api.SecurityAllow},
		{"another drops it", "shop/web", "shop/db", 53, "udp 10.0.1.10:49152 > 10.0.1.20:53", api.SecurityDrop},
		{"from somebody else", "free", "shop/db", 5432, "udp 10.0.1.30:49152 > 10.0.1.20:5432", api.SecurityDrop},
		{"a NetworkPolicy allows it", "shop/db", "shop/web", 80, "udp 10.0.1.20:49152 > 10.0.1.10:80", api.SecurityAllow},
		{"and isolates", "shop/db", "shop/web", 81, "udp 10.0.1.20:49152 > 10.0.1.10:81", api.SecurityDrop},
		{"nobody is asked about what is excluded", "shop/db", "free", 81, "udp 10.0.1.20:49152 > 10.0.1.30:81", api.SecurityAllow},
	} {
		a, err := n.EvaluatePolicy(&api.PolicyQuery{From: row.from, To: row.to, Protocol: "udp", Port: row.port})
		require.NoError(t, err, row.why)
		require.Equal(t, row.verdict, a.Verdict, row.why)
		receiver := devices.byName[row.to]
		receiver.Sent()
		step(t, n, devices.byName[row.from], row.frame+" len 20")
		require.Equal(t, row.verdict == api.SecurityAllow, len(receiver.Sent()) == 1, row.why)
	}
	_, err := n.EvaluatePolicy(&api.PolicyQuery{From: "shop/wep", To: "shop/db", Protocol: "udp", Port: 5})
	require.ErrorIs(t, err, api.ErrNotFound)
	report, err := n.LintPolicy()
	require.NoError(t, err)
	require.Equal(t, 4, report.Rules)
	require.Zero(t, n.Engine().Ledger().Unexplained)
}

func TestFirewallViewFaults(t *testing.T) {
	n, _ := shopNode(t)
	for _, row := range []struct {
		why  string
		ask  func(*api.Filter) error
		f    api.Filter
		is   error
		says string
	}{
		{"a rule", ask(n.RuleViews), api.Filter{Names: []string{"7"}}, api.ErrNotFound, "there is no rule 7"},
		{"a rule that is not at the port is none of its", ask(n.RuleViews), api.Filter{Port: "shop/dp"}, api.ErrNotFound, "there is no port shop/dp; did you mean shop/db?"},
		{"a section", ask(n.RuleViews), api.Filter{Section: "shop/bd"}, api.ErrNotFound, "there is no section shop/bd"},
		{"a section of policies", ask(n.PolicyViews), api.Filter{Section: "x"}, api.ErrNotFound, "there is no section x"},
		{"an action", ask(n.RuleViews), api.Filter{State: "DENY"}, api.ErrInvalid, `state "DENY": want one of [ALLOW DROP REJECT JUMP_TO_APPLICATION]`},
		{"a category", ask(n.PolicyViews), api.Filter{State: "Default"}, api.ErrInvalid, "want one of [Ethernet Emergency Infrastructure Environment Application]"},
		{"a group", ask(n.GroupViews), api.Filter{Names: []string{"web"}}, api.ErrNotFound, "there is no group web; did you mean shop/web?"},
	} {
		t.Run(row.why, func(t *testing.T) {
			err := row.ask(&row.f)
			require.ErrorIs(t, err, row.is)
			require.ErrorContains(t, err, row.says)
		})
	}
}
