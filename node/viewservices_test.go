package node_test

import (
	"fmt"
	"net/netip"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-net/sluice/api"
	"github.com/sluice-net/sluice/control"
	"github.com/sluice-net/sluice/control/vips"
	"github.com/sluice-net/sluice/dataplane"
	"github.com/sluice-net/sluice/lb/health"
	"github.com/sluice-net/sluice/lb/member"
	"github.com/sluice-net/sluice/lb/service"
	"github.com/sluice-net/sluice/node"
	"github.com/sluice-net/sluice/packet"
	"github.com/sluice-net/sluice/port/mem"
)

// tenant is a client and two servers on a segment, and an uplink.
const tenant = `apiVersion: sluice.dev/v1
kind: Segment
metadata: {name: net}
spec: {subnets: [{cidr: 10.0.1.0/24}, {cidr: 'fd00:1::/64'}]}
---
apiVersion: sluice.dev/v1
kind: Port
metadata: {name: client, namespace: demo}
spec: {segment: net, addresses: [{ip: 10.0.1.10}]}
---
apiVersion: sluice.dev/v1
kind: Port
metadata: {name: web-1, namespace: demo}
spec: {segment: net, addresses: [{ip: 10.0.1.11}]}
---
apiVersion: sluice.dev/v1
kind: Port
metadata: {name: web-2, namespace: demo}
spec: {segment: net, addresses: [{ip: 10.0.1.12}]}
---
apiVersion: sluice.dev/v1
kind: Port
metadata: {name: uplink}
---
apiVersion: sluice.dev/v1
kind: Router
metadata: {name: default}
spec: {uplinks: [{port: uplink, addresses: [192.0.2.1/24], gateway: 192.0.2.254}]}
`

func addr(text string) packet.Addr { return packet.AddrFrom(netip.MustParseAddr(text)) }

// at is a member at an address and port.
func at(id uint32, name, text string, change func(*service.Member)) *service.Member {
	a := netip.MustParseAddrPort(text)
	m := &service.Member{ID: id, Name: name, Address: packet.AddrFrom(a.Addr()), Port: a.Port(), Weight: 1, Local: true}
	if change != nil {
		change(m)
	}
	return m
}

// tenantServices are services of all kinds of states.
func tenantServices(scope uint32) *service.Config {
	demo := service.Origin{Kind: "Service", Namespace: "demo", Name: "web"}
	native := func(kind, name string) service.Origin { return service.Origin{Kind: kind, Name: name} }
	probe := &service.Monitor{Name: "tcp", Type: service.MonitorTCP, IntervalNs: 1e9, TimeoutNs: 1e9, Rise: 1, Fall: 1}
	web1, web2 := at(1, "demo/web-1", "10.0.1.11:5353", nil), at(2, "demo/web-2", "10.0.1.12:5353", nil)
	whole := &service.Pool{ID: 1, Origin: demo, Name: "demo/web:dns", Members: []*service.Member{web1, web2}, MinActive: 1}
	part := &service.Pool{ID: 2, Origin: demo, Name: "demo/web:dns (local)", Members: []*service.Member{web1}, MinActive: 1}
	probed := &service.Pool{
		ID: 3, Origin: native("Pool", "probed"), Name: "probed", Algorithm: service.Maglev, MinActive: 2, Monitors: []*service.Monitor{probe}, MaxConnections: 7,
		Members: []*service.Member{
			at(31, "", "10.0.1.11:80", nil), at(32, "", "10.0.1.12:80", nil),
			at(33, "spare", "10.0.1.13:80", func(m *service.Member) { m.Backup = true }),
			at(34, "leaving", "10.0.1.14:80", func(m *service.Member) { m.Admin, m.Why = service.Draining, "terminating" }),
			at(35, "out", "10.0.1.15:80", func(m *service.Member) { m.Admin = service.Disabled }),
		},
	}
	empty := &service.Pool{ID: 4, Origin: native("Pool", "empty"), Name: "empty", MinActive: 1}
	snat := &service.SourcePool{ID: 91, Name: "outside", Scope: scope, Addresses: []packet.Addr{addr("192.0.2.30"), addr("192.0.2.31")}}
	front := func(kind service.FrontendKind, proto uint8, ip string, port uint16, inside, outside *service.Pool) service.Frontend {
		return service.Frontend{Kind: kind, Scope: scope, Address: addr(ip), Protocol: proto, First: port, Last: port, Inside: inside, Outside: outside}
	}
	return &service.Config{
		Servers: []*service.Server{
			{ID: 1, Origin: demo, Name: "demo/web:dns", Frontends: []service.Frontend{
				front(service.ClusterIP, packet.ProtoUDP, "10.96.0.1", 53, whole, whole),
				front(service.LoadBalancer, packet.ProtoUDP, "192.0.2.10", 53, whole, part),
			}, Affinity: &service.Affinity{ID: 1, TimeoutNs: 10e9}},
			{ID: 5, Origin: native("VirtualServer", "empty"), Name: "empty", Frontends: []service.Frontend{
				front(service.Virtual, packet.ProtoTCP, "192.0.2.12", 80, empty, empty),
			}},
			{ID: 6, Origin: native("VirtualServer", "off"), Name: "off", Disabled: true, Frontends: []service.Frontend{
				front(service.Virtual, packet.ProtoTCP, "192.0.2.13", 80, whole, whole),
			}},
			{ID: 4, Origin: native("VirtualServer", "pending"), Name: "pending"},
			{ID: 2, Origin: native("VirtualServer", "probed"), Name: "probed", MaxConnections: 9, Frontends: []service.Frontend{
				front(service.Virtual, packet.ProtoTCP, "192.0.2.11", 80, probed, probed),
			}},
			{ID: 3, Origin: native("VirtualServer", "sorry"), Name: "sorry", Source: service.SourceFromPool, Pool: snat, Frontends: []service.Frontend{
				{Kind: service.Virtual, Scope: scope, Address: addr("192.0.2.14"), Protocol: packet.ProtoTCP, First: 8000, Last: 8010, Inside: empty, Outside: empty, Sorry: whole},
			}},
		},
		Pools: []*service.Pool{whole, part, empty, probed},
		Rules: []*service.NATRule{
			{
				ID: 81, Origin: native("NATRule", "out"), Name: "out", Scope: scope, Priority: 10, Action: service.SNAT,
				Source: []netip.Prefix{netip.MustParsePrefix("10.0.1.0/24")}, Pool: snat,
			},
			{
				ID: 82, Origin: native("NATRule", "ssh"), Name: "ssh", Scope: scope, Priority: 20, Action: service.DNAT, Protocol: packet.ProtoTCP,
				Destination: []netip.Prefix{netip.MustParsePrefix("192.0.2.1/32")}, Ports: []service.PortRange{{First: 2222, Last: 2222}},
				To: netip.MustParsePrefix("10.0.1.11/32"), ToPort: service.PortRange{First: 22, Last: 22}, Firewall: service.MatchBypass,
			},
			{
				ID: 83, Origin: native("NATRule", "twin"), Name: "twin", Scope: scope, Priority: 30, Action: service.Reflexive,
				Inside: netip.MustParsePrefix("10.0.1.64/28"), To: netip.MustParsePrefix("192.0.2.64/28"),
			},
		},
		Sources: []*service.SourcePool{snat},
	}
}

// tenantNode is a node of tenant with tenantServices, whose members nobody has probed so far.
func tenantNode(t *testing.T) (*node.Node, *memDevices) {
	t.Helper()
	devices := &memDevices{byName: map[string]*mem.Port{}}
	m := withServices(compile(t, tenant), tenantServices)
	n, err := node.New(node.Options{Workers: 2, Open: devices.open, Buffers: 4096, Supers: 4, Probed: true}, m)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, n.Close()) })
	return n, devices
}

// withServices is a copy of a model with services in the address space of its first segment.
func withServices(m *control.Model, services func(scope uint32) *service.Config) *control.Model {
	copied := *m
	copied.Services = services(m.Segments[0].Scope)
	return &copied
}

func TestVirtualServerViews(t *testing.T) {
	n, _ := tenantNode(t)
	text := func(v api.VirtualServerView) string {
		return fmt.Sprintf("%s %s %d/%d %s", v.Name, v.State, v.MembersUp, v.Members, v.Reason)
	}
	all := list(t, n.VirtualServerViews, api.Filter{})
	require.Equal(t, []string{
		"demo/web:dns UP 2/2 ",
		"empty DOWN 0/0 it has no members",
		"off DISABLED 2/2 it is disabled: nobody is connected",
		"pending PENDING 0/0 it has no address: the status of the VirtualServer says why",
		"probed DOWN 0/5 none of 2 members is up",
		"sorry PARTIALLY_UP 0/0 it has no members; connections go to the sorry pool demo/web:dns",
	}, namesOf(all, text))
	require.Equal(t, api.ObjectRef{Kind: "Service", Namespace: "demo", Name: "web"}, all[0].Origin)
	require.Equal(t, []api.FrontendView{
		{Kind: "ClusterIP", Address: netip.MustParseAddr("10.96.0.1"), Ports: "53", InsidePool: "demo/web:dns", OutsidePool: "demo/web:dns"},
		{Kind: "LoadBalancer", Address: netip.MustParseAddr("192.0.2.10"), Ports: "53", InsidePool: "demo/web:dns", OutsidePool: "demo/web:dns (local)"},
	}, all[0].Frontends)
	require.Equal(t, &api.PersistenceView{Type: "SOURCE_IP", Timeout: 10}, all[0].Affinity)
	require.Equal(t, [3]string{"UDP", "AS_NEEDED", "NAT"}, [3]string{all[0].Protocol, all[0].SourceTranslation, all[0].Dispatch})
	require.Equal(t, [3]string{"8000-8010", "IP_POOL", "outside"}, [3]string{all[5].Frontends[0].Ports, all[5].SourceTranslation, all[5].SourcePool})

	name := func(v api.VirtualServerView) string { return v.Name }
	for _, row := range []struct {
		why  string
		f    api.Filter
		want []string
	}{
		{"by name", api.Filter{Names: []string{"probed"}}, []string{"probed"}},
		{"by address", api.Filter{VIP: api.VIP{Address: netip.MustParseAddr("192.0.2.10")}}, []string{"demo/web:dns"}},
		{"by address and port within a run", api.Filter{VIP: api.VIP{Address: netip.MustParseAddr("192.0.2.14"), Port: 8005}}, []string{"sorry"}},
		{"by the object it is made of", api.Filter{Service: "demo/web"}, []string{"demo/web:dns"}},
		{"by pool", api.Filter{Pool: "demo/web:dns"}, []string{"demo/web:dns", "off"}},
		{"by network", api.Filter{Address: netip.MustParsePrefix("192.0.2.0/29")}, nil},
		{"by protocol and state", api.Filter{Protocol: "tcp", State: "down"}, []string{"empty", "probed"}},
		{"by port", api.Filter{L4Port: 53}, []string{"demo/web:dns"}},
	} {
		require.Equal(t, row.want, namesOf(list(t, n.VirtualServerViews, row.f), name), row.why)
	}
	for _, row := range []struct {
		why, fault string
		f          api.Filter
	}{
		{"nobody listens there", "there is no virtual server at 192.0.2.15; did you mean one of 192.0.2.10,", api.Filter{VIP: api.VIP{Address: netip.MustParseAddr("192.0.2.15")}}},
		{"no such service", "there is no service demo/wep; did you mean demo/web:dns?", api.Filter{Service: "demo/wep"}},
		{"no such name", "there is no virtual server prob", api.Filter{Names: []string{"prob"}}},
		{"no such state", "want one of [UP PARTIALLY_UP DOWN DISABLED PENDING]", api.Filter{State: "ABSENT"}},
	} {
		_, err := n.VirtualServerViews(&row.f)
		require.ErrorContains(t, err, row.fault, row.why)
	}
}

func TestPoolAndMemberViews(t *testing.T) {
	n, _ := tenantNode(t)
	services := n.Services()
	started := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	n.ShowHealth(func(id uint32) (health.History, bool) {
		return health.History{Changes: []health.Change{{At: started, Health: member.Down, Reason: "TCP: connection refused (1 of 1)"}}}, id == 32
	})
	pool := func() string {
		v := list(t, n.LBPoolViews, api.Filter{Names: []string{"probed"}})[0]
		return fmt.Sprintf("%s %d/%d backups=%v %s", v.State, v.MembersUp, v.Members, v.BackupsActive, v.Reason)
	}
	text := func(v api.LBMemberView) string {
		return fmt.Sprintf("%s %s %s %v %s", v.Name, v.State, v.Health, v.Eligible, v.Reason)
	}
	members := func() []string { return namesOf(list(t, n.LBMemberViews, api.Filter{Pool: "probed"}), text) }
	require.Equal(t, "DOWN 0/5 backups=false none of 2 members is up", pool())
	require.Equal(t, []string{
		"10.0.1.11:80 UNKNOWN UNKNOWN false no monitor has passed so far",
		"10.0.1.12:80 UNKNOWN UNKNOWN false no monitor has passed so far",
		"spare UNKNOWN UNKNOWN false no monitor has passed so far",
		"leaving DRAINING UNKNOWN false no monitor has passed so far",
		"out DISABLED UNKNOWN false disabled: its sessions are ended",
	}, members(), "members fail closed")

	for _, id := range []uint32{31, 33, 34} {
		services.Report(id, member.Up, dataplane.Now())
	}
	services.Report(32, member.Down, dataplane.Now())
	require.Equal(t, "PARTIALLY_UP 2/5 backups=true 1 of 2 members are up, and 2 have to be: backups take part", pool())
	require.Equal(t, []string{
		"10.0.1.11:80 UP UP true ",
		"10.0.1.12:80 DOWN DOWN false TCP: connection refused (1 of 1)",
		"spare UP UP true a backup: fewer others are up than have to be",
		"leaving DRAINING UP false draining: its sessions live on, and it gets no others (terminating)",
		"out DISABLED UNKNOWN false disabled: its sessions are ended",
	}, members())
	down := list(t, n.LBMemberViews, api.Filter{Names: []string{"10.0.1.12:80"}})[0]
	require.Equal(t, []api.HealthChange{{Time: started, Health: "DOWN", Reason: "TCP: connection refused (1 of 1)"}}, down.History)
	require.WithinDuration(t, time.Now(), down.Since, time.Minute)
	require.EqualValues(t, 7, down.MaxConnections, "the pool's")
	require.Equal(t, "GRACEFUL_DISABLED", list(t, n.LBMemberViews, api.Filter{State: "draining"})[0].AdminState)

	services.Report(32, member.Up, dataplane.Now())
	require.Equal(t, "UP 2/5 backups=false ", pool())
	require.Contains(t, members(), "spare UP UP false a backup: it is asked if fewer than 2 others are up")

	whole := list(t, n.LBPoolViews, api.Filter{Service: "demo/web"})
	require.Equal(t, []string{"demo/web:dns", "demo/web:dns (local)"}, namesOf(whole, func(v api.LBPoolView) string { return v.Name }))
	require.Equal(t, [2][]string{{"demo/web:dns", "off"}, {"sorry"}}, [2][]string{whole[0].VirtualServers, whole[0].SorryPoolOf})
	require.Equal(t, []string{"tcp (TCP)"}, list(t, n.LBPoolViews, api.Filter{State: "UP", Names: []string{"probed"}})[0].Monitors)

	name := func(v api.LBMemberView) string { return v.Pool + " " + v.Name }
	for _, row := range []struct {
		why  string
		f    api.Filter
		want []string
	}{
		{"a Service's are its endpoints, each once, in however many pools", api.Filter{Service: "demo/web"}, []string{"demo/web:dns demo/web-1", "demo/web:dns demo/web-2"}},
		{"of an address", api.Filter{VIP: api.VIP{Address: netip.MustParseAddr("192.0.2.11")}, State: "UP"}, []string{"probed 10.0.1.11:80", "probed 10.0.1.12:80", "probed spare"}},
		{"what a port serves", api.Filter{Port: "demo/web-2"}, []string{"demo/web:dns demo/web-2", "probed 10.0.1.12:80"}},
		{"by address", api.Filter{Names: []string{"10.0.1.11"}}, []string{"demo/web:dns demo/web-1", "probed 10.0.1.11:80"}},
		{"by port", api.Filter{L4Port: 5353, Names: []string{"demo/web-1"}}, []string{"demo/web:dns demo/web-1"}},
	} {
		require.Equal(t, row.want, namesOf(list(t, n.LBMemberViews, row.f), name), row.why)
	}
	require.Equal(t, []string{"demo/web:dns", "demo/web:dns (local)"}, list(t, n.LBMemberViews, api.Filter{Names: []string{"demo/web-1"}})[0].Pools)
	_, err := n.LBMemberViews(&api.Filter{Names: []string{"demo/web-3"}})
	require.EqualError(t, err, "there is no member demo/web-3; did you mean one of demo/web-1, demo/web-2?")
	_, err = n.LBMemberViews(&api.Filter{Pool: "demo/wep"})
	require.ErrorIs(t, err, api.ErrNotFound)
}

// What passes is counted at once, and stays counted when its sessions have ended.
func TestServiceCountsAndFlows(t *testing.T) {
	n, devices := tenantNode(t)
	for port := range 4 {
		step(t, n, devices.byName["demo/client"], fmt.Sprintf("udp 10.0.1.10:%d > 10.96.0.1:53 eth 0a:58:0a:00:01:0a > 02:50:56:56:44:52 len 20", 4000+port))
	}
	step(t, n, devices.byName["demo/client"], "tcp 10.0.1.10:5000 > 192.0.2.12:80 S eth 0a:58:0a:00:01:0a > 02:50:56:56:44:52")
	require.Equal(t, uint64(1), list(t, n.VirtualServerViews, api.Filter{Names: []string{"empty"}})[0].NoBackend)

	flows := list(t, n.SessionViews, api.Filter{VIP: api.VIP{Address: netip.MustParseAddr("10.96.0.1")}})
	require.Len(t, flows, 4)
	v := flows[0]
	require.Equal(t, "demo/web:dns", v.Service.Name)
	require.Equal(t, [2]string{"10.96.0.1", "ROUND_ROBIN"}, [2]string{v.Service.VIP.String(), v.Service.Member.Why})
	require.EqualValues(t, 53, v.Service.Port)
	require.Equal(t, "AFFINITY", flows[1].Service.Member.Why)
	require.Equal(t, v.Service.Member.Address, v.Translated.Destination)
	require.EqualValues(t, 5353, v.Service.Member.Port)
	require.Len(t, list(t, n.SessionViews, api.Filter{Member: v.Service.Member.Name}), 4)
	require.Len(t, list(t, n.SessionViews, api.Filter{Service: "web", VIP: api.VIP{Address: netip.MustParseAddr("10.96.0.1"), Port: 53}}), 4)
	require.Empty(t, list(t, n.SessionViews, api.Filter{Service: "probed"}))
	require.Empty(t, list(t, n.SessionViews, api.Filter{Rule: 1 << 30}))
	_, err := n.SessionViews(&api.Filter{Member: "demo/web-3"})
	require.ErrorContains(t, err, "did you mean one of demo/web-1, demo/web-2?")

	server := list(t, n.VirtualServerViews, api.Filter{Service: "demo/web"})[0]
	require.Equal(t, api.ConnectionCounts{Active: 4, Total: 4, Rate: 0.8}, server.Connections)
	require.Equal(t, api.Traffic{Packets: 4, Bytes: 4 * 62}, server.Original)
	served := list(t, n.LBMemberViews, api.Filter{Names: []string{v.Service.Member.Name}})[0]
	require.Equal(t, server.Connections, served.Connections)
	require.Equal(t, server.Original, served.Original)
	require.EqualValues(t, 4, list(t, n.LBPoolViews, api.Filter{Names: []string{"demo/web:dns"}})[0].Connections.Active)

	require.NoError(t, n.Apply(withServices(compile(t, tenant), func(scope uint32) *service.Config {
		c := tenantServices(scope)
		c.Servers = c.Servers[1:]
		return c
	})))
	gone := list(t, n.SessionViews, api.Filter{})
	for _, v := range gone {
		require.Equal(t, "#1", v.Service.Name, "what is gone goes by its number")
	}
}

func TestNATRuleViews(t *testing.T) {
	n, devices := tenantNode(t)
	step(t, n, devices.byName["demo/client"], "udp 10.0.1.10:4000 > 192.0.2.254:53 eth 0a:58:0a:00:01:0a > 02:50:56:56:44:52 len 20")
	step(t, n, devices.byName["uplink"], "arp 192.0.2.254 is-at 02:00:00:00:00:01 to 192.0.2.1 eth 02:00:00:00:00:01 > ff:ff:ff:ff:ff:ff")
	rules := list(t, n.NATRuleViews, api.Filter{})
	require.Equal(t, []string{"1 out SNAT outside", "2 ssh DNAT 10.0.1.11:22", "3 twin REFLEXIVE 192.0.2.64/28"},
		namesOf(rules, func(v api.NATRuleView) string { return fmt.Sprintf("%d %s %s %s", v.Order, v.Name, v.Action, v.To) }))
	require.Equal(t, "default", rules[0].Router)
	require.Equal(t, 2, rules[0].Pool.Size)
	require.Equal(t, []string{"192.0.2.30", "192.0.2.31"}, rules[0].Pool.Addresses)
	require.Equal(t, 2*64512-1, rules[0].Pool.Free)
	require.EqualValues(t, 1, rules[0].Pool.Sessions)
	require.Equal(t, [2]uint64{1, 1}, [2]uint64{rules[0].Hits, uint64(rules[0].Translations)})
	flow := list(t, n.SessionViews, api.Filter{})[0]
	require.Equal(t, "outside", flow.NAT.Source)
	require.Contains(t, rules[0].Pool.Addresses, flow.Translated.Source.String())
	require.Nil(t, flow.Service)
	require.Equal(t, []string{"2222"}, rules[1].Ports)
	require.Equal(t, [2]string{"TCP", "BYPASS"}, [2]string{rules[1].Protocol, rules[1].FirewallMatch})
	require.Equal(t, []netip.Prefix{netip.MustParsePrefix("10.0.1.64/28")}, rules[2].Sources)
	name := func(v api.NATRuleView) string { return v.Name }
	for _, row := range []struct {
		why  string
		f    api.Filter
		want []string
	}{
		{"by action", api.Filter{State: "dnat"}, []string{"ssh"}},
		{"by an address that it is about", api.Filter{Address: netip.MustParsePrefix("192.0.2.64/30")}, []string{"twin"}},
		{"by an address of its pool", api.Filter{Address: netip.MustParsePrefix("192.0.2.31/32")}, []string{"out"}},
		{"by router", api.Filter{Router: "default"}, []string{"out", "ssh", "twin"}},
		{"by name", api.Filter{Names: []string{"ssh"}}, []string{"ssh"}},
		{"unused", api.Filter{Unused: true}, []string{"ssh", "twin"}},
	} {
		require.Equal(t, row.want, namesOf(list(t, n.NATRuleViews, row.f), name), row.why)
	}
	_, err := n.NATRuleViews(&api.Filter{State: "MASQUERADE"})
	require.ErrorIs(t, err, api.ErrInvalid)
}

func TestServiceNames(t *testing.T) {
	m := withServices(compile(t, tenant), tenantServices)
	names, scope := node.NewServiceNames(m), m.Segments[0].Scope
	require.Equal(t, "demo/web:dns", names.At(scope, addr("10.96.0.1"), packet.ProtoUDP, 53))
	require.Equal(t, "sorry", names.At(scope, addr("192.0.2.14"), packet.ProtoTCP, 8007), "a run of ports")
	require.Empty(t, names.At(scope, addr("192.0.2.14"), packet.ProtoTCP, 8011))
	require.Empty(t, names.At(scope, addr("10.96.0.1"), packet.ProtoTCP, 53))
	require.Empty(t, names.At(scope+1, addr("10.96.0.1"), packet.ProtoUDP, 53), "another address space")
}

// Who has an address of a pool, and who had it just now, is told with the pool.
func TestPoolsOfVIPs(t *testing.T) {
	m := compile(t, campus)
	copied := *m
	copied.Node.IPReallocationTime = time.Minute
	copied.Allocations.VIPs = &vips.Allocations{
		Held: map[string]*vips.Held{
			"Service/demo/web": {Addresses: []vips.HeldAddress{{Use: vips.Virtual, Address: netip.MustParseAddr("192.0.2.11")}}},
			"Service/demo/far": {Addresses: []vips.HeldAddress{{Use: vips.Virtual, Address: netip.MustParseAddr("198.51.100.1")}}},
		},
		Freed: []vips.Freed{
			{Address: netip.MustParseAddr("192.0.2.12"), Owner: "VirtualServer//old", At: time.Now().UnixNano()},
			{Address: netip.MustParseAddr("192.0.2.13"), Owner: "VirtualServer//older", At: time.Now().Add(-time.Hour).UnixNano()},
		},
	}
	devices := &memDevices{byName: map[string]*mem.Port{}}
	n, err := node.New(node.Options{Workers: 1, Open: devices.open, Buffers: 4096, Supers: 4}, &copied)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, n.Close()) })
	require.Equal(t, []api.PoolView{{
		Name: "outside", Usage: api.UsageVIPs, Ranges: []string{"192.0.2.10-192.0.2.19"}, Size: 10, Used: 1, Quarantined: 1, Free: 8,
		Allocations: []api.AllocationView{
			{Address: netip.MustParseAddr("192.0.2.11"), Owner: "Service demo/web"},
			{Address: netip.MustParseAddr("192.0.2.12"), Owner: "VirtualServer old", Quarantined: true},
		},
	}}, list(t, n.PoolViews, api.Filter{Names: []string{"outside"}}))
}
