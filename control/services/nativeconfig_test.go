package services

import (
	"fmt"
	"net/netip"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluice-net/sluice/control/ipam"
	"github.com/sluice-net/sluice/control/ruleset"
	"github.com/sluice-net/sluice/control/vips"
	"github.com/sluice-net/sluice/firewall/policy"
	"github.com/sluice-net/sluice/lb/service"
	"github.com/sluice-net/sluice/packet"
)

// native is a resolver with a router that has an uplink, and an IPPool of each usage.
type native struct {
	*Resolver
	endpoints []*Endpoint
	groups    map[service.Origin]*policy.Set
	held      *vips.Allocations
	ids       map[string]IDs
	last      uint32
}

const nativeScope = 7

func newNative() *native { return &native{Resolver: New(), groups: map[service.Origin]*policy.Set{}} }

func (x *native) put(t *testing.T, kind, name, text string) {
	t.Helper()
	x.Put(service.Origin{Kind: kind, Name: name}, object(t, kind, "{metadata: {name: "+name+"}, spec: {"+text+"}}"))
}

// pod adds a port that is labelled app, with one address of each family.
func (x *native) pod(n int, app string) {
	for len(x.endpoints) <= n {
		x.endpoints = append(x.endpoints, nil)
	}
	now := append([]*Endpoint(nil), x.endpoints...) // what was handed over is not written to
	now[n] = &Endpoint{Ready: true, Endpoint: &ruleset.Endpoint{
		Endpoint: policy.Endpoint{Number: uint16(n), Scope: nativeScope, Name: fmt.Sprint("pod", n), Addresses: []packet.Addr{
			packet.AddrFrom(netip.AddrFrom4([4]byte{10, 244, 1, byte(n)})), packet.AddrFrom(netip.MustParseAddr(fmt.Sprintf("fd00::%x", n))),
		}},
		Labels: map[string]string{"app": app}, NamedPorts: []ruleset.NamedPort{{Protocol: packet.ProtoTCP, Name: "http", Port: uint16(8000 + n)}},
	}}
	x.endpoints = now
}

func (x *native) check() []Fault {
	one := func(a string) []ipam.Range {
		return []ipam.Range{{First: netip.MustParseAddr(a), Last: netip.MustParseAddr(a).Next()}}
	}
	return x.Check(Settings{
		NodeName: "n1", Algorithm: service.LeastConnection,
		Routers: []Router{{Name: "default", Scope: nativeScope, Uplinks: []Uplink{{Port: "uplink", Number: 99, Addresses: []netip.Prefix{netip.MustParsePrefix("192.0.2.1/24")}}}}},
		Sources: []Source{{Name: "outside", Addresses: []packet.Addr{packet.AddrFrom(netip.MustParseAddr("192.0.2.200"))}}},
	}, vips.Input{
		Pools:    []vips.Pool{{Name: "vips", Use: vips.Virtual, Ranges: one("192.0.2.100")}, {Name: "vips6", Use: vips.Virtual, Ranges: one("2001:db8::100")}},
		Previous: x.held,
	})
}

func (x *native) turn(t *testing.T) *service.Config {
	t.Helper()
	require.Empty(t, x.check())
	x.held = x.given.Allocations
	result := x.Resolve(Input{
		Endpoints: x.endpoints, Groups: func(o service.Origin) *policy.Set { return x.groups[o] }, Previous: x.ids, LastID: x.last,
	})
	x.ids, x.last = result.IDs, result.LastID
	return result.Config
}

// described is a configuration in short.
func described(c *service.Config) (lines []string) {
	for _, s := range c.Servers {
		line := "server " + s.Name
		for _, f := range s.Frontends {
			line += fmt.Sprintf(" %s:%d-%d>%s", f.Address, f.First, f.Last, f.Inside.Name)
		}
		lines = append(lines, line)
	}
	for _, p := range c.Pools {
		line := "pool " + p.Name + " " + p.Algorithm.String()
		for _, m := range p.Members {
			line += fmt.Sprintf(" %s:%d", m.Address, m.Port)
			if m.Weight != 1 {
				line += fmt.Sprint("*", m.Weight)
			}
			if m.Admin != service.Enabled {
				line += "=" + m.Admin.String()
			}
		}
		lines = append(lines, line)
	}
	for _, r := range c.Rules {
		lines = append(lines, fmt.Sprintf("rule %s %s %v>%v to %v:%d", r.Name, r.Action, r.Source, r.Destination, r.To, r.ToPort.First))
	}
	for _, a := range c.Addresses {
		lines = append(lines, "owns "+a.Prefix.String())
	}
	return lines
}

// TestNativeConfigs: what comes of our own objects together.
func TestNativeConfigs(t *testing.T) {
	for _, row := range []struct {
		why  string
		put  [][3]string
		want []string
	}{
		{"an address is allocated, and the algorithm is the node's where nobody names one", [][3]string{
			{kindVirtualServer, "web", `ports: ["80"], pool: p`},
			{kindPool, "p", `members: [{address: 10.0.0.2, port: 8080, weight: 3}, {address: 10.0.0.1, port: 8080}]`},
		}, []string{
			"server web 192.0.2.100:80-80>p", "pool p LEAST_CONNECTION 10.0.0.1:8080 10.0.0.2:8080*3", "owns 192.0.2.100/32",
		}},
		{"each family goes to members of its own", [][3]string{
			{kindVirtualServer, "web", `ports: ["80"], pool: p, addresses: [203.0.113.1, "2001:db8::1"]`},
			{kindPool, "p", `algorithm: MAGLEV, members: [{address: 10.0.0.1, port: 8080}, {address: "fd00::9", port: 8080}]`},
		}, []string{
			"server web 203.0.113.1:80-80>p 2001:db8::1:80-80>p (IPv6)", "pool p MAGLEV 10.0.0.1:8080", "pool p (IPv6) MAGLEV fd00::9:8080",
			"owns 203.0.113.1/32", "owns 2001:db8::1/128",
		}},
		{"addresses of both families are allocated", [][3]string{
			{kindVirtualServer, "web", `ports: ["80"], pool: p, ipFamilies: [IPv4, IPv6]`},
			{kindPool, "p", `memberGroup: {podSelector: {}}`},
		}, []string{
			"server web 192.0.2.100:80-80>p 2001:db8::100:80-80>p (IPv6)", "pool p LEAST_CONNECTION 10.244.1.1:0 10.244.1.2:0",
			"pool p (IPv6) LEAST_CONNECTION fd00::1:0 fd00::2:0", "owns 192.0.2.100/32", "owns 2001:db8::100/128",
		}},
		{"members without a port listen where the server says, or the client connects to", [][3]string{
			{kindVirtualServer, "web", `ports: ["80", "8000-8010"], defaultPoolMemberPorts: ["8080", "8000-8010"], pool: p, addresses: [203.0.113.1]`},
			{kindPool, "p", `members: [{address: 10.0.0.1}, {address: 10.0.0.2, port: 9}]`},
		}, []string{
			"server web 203.0.113.1:80-80>p (port 8080) 203.0.113.1:8000-8010>p",
			"pool p LEAST_CONNECTION 10.0.0.1:0 10.0.0.2:9", "pool p (port 8080) LEAST_CONNECTION 10.0.0.1:8080 10.0.0.2:9", "owns 203.0.113.1/32",
		}},
		{"two servers share an address, each with its ports", [][3]string{
			{kindVirtualServer, "a", `ports: ["80"], pool: p, addresses: [203.0.113.1]`},
			{kindVirtualServer, "b", `ports: ["443"], pool: p, addresses: [203.0.113.1]`},
			{kindPool, "p", `members: [{address: 10.0.0.1}]`},
		}, []string{
			"server a 203.0.113.1:80-80>p", "server b 203.0.113.1:443-443>p", "pool p LEAST_CONNECTION 10.0.0.1:0", "owns 203.0.113.1/32",
		}},
		{"a pool that nobody uses is there, and a port's name is what each of its members calls so", [][3]string{
			{kindPool, "p", `memberGroup: {podSelector: {matchLabels: {app: shop}}, port: http, ipRevisionFilter: IPV4, customizedMembers: [{address: 10.244.1.2, adminState: GRACEFUL_DISABLED, weight: 5}, {address: 10.9.9.9}]}`},
		}, []string{"pool p LEAST_CONNECTION 10.244.1.1:8001 10.244.1.2:8002*5=GRACEFUL_DISABLED"}},
		{"of a group so many are members", [][3]string{
			{kindPool, "p", `memberGroup: {podSelector: {}, maxIPListSize: 1}`},
		}, []string{"pool p LEAST_CONNECTION 10.244.1.1:0", "pool p (IPv6) LEAST_CONNECTION fd00::1:0"}},
		{"rules are in order of priority, and routers answer for what they translate", [][3]string{
			{kindNATRule, "a", `action: SNAT, sourceNetworks: [10.244.0.0/16], translatedPool: outside, priority: 20`},
			{kindNATRule, "b", `action: DNAT, destinationNetworks: [192.0.2.50], translatedNetwork: 10.244.1.9, translatedPorts: "8080", service: {protocol: TCP, destinationPorts: ["80"]}, priority: 10, scope: [uplink]`},
			{kindNATRule, "c", `action: NO_SNAT, sourceNetworks: [10.244.0.0/16], destinationNetworks: [10.0.0.0/8]`},
			{kindNATRule, "d", `action: REFLEXIVE, sourceNetworks: [10.244.2.0/30], translatedNetwork: 192.0.2.60/30, priority: 5`},
			{kindNATRule, "e", `action: SNAT, translatedPool: outside, enabled: false`},
		}, []string{
			"rule c NO_SNAT [10.244.0.0/16]>[10.0.0.0/8] to invalid Prefix:0", "rule d REFLEXIVE []>[] to 192.0.2.60/30:0",
			"rule b DNAT []>[192.0.2.50/32] to 10.244.1.9/32:8080", "rule a SNAT [10.244.0.0/16]>[] to invalid Prefix:0",
			"owns 192.0.2.50/32", "owns 192.0.2.60/30", "owns 192.0.2.200/32",
		}},
	} {
		x := newNative()
		x.pod(1, "shop")
		x.pod(2, "shop")
		for _, o := range row.put {
			x.put(t, o[0], o[1], o[2])
		}
		require.Equal(t, row.want, described(x.turn(t)), row.why)
	}
}

// TestNativeFaultsTogether: what is wrong with objects that name each other.
func TestNativeFaultsTogether(t *testing.T) {
	for _, row := range []struct {
		why  string
		put  [][3]string
		want []string
	}{
		{"names of nobody", [][3]string{
			{kindVirtualServer, "v", `ports: ["80"], pool: p, sorryPool: q, router: r, accessListControl: {action: DROP, group: g}`},
			{kindPool, "z", `activeMonitors: [m], snatTranslation: {type: IP_POOL, ipPool: inside}, memberGroup: {group: g}`},
			{kindNATRule, "n", `action: SNAT, translatedPool: inside, scope: [downlink]`},
		}, []string{
			"spec.scope[0]: the router default has no uplink downlink", "spec.translatedPool: there is no IPPool inside with usage snat",
			"spec.activeMonitors[0]: there is no Monitor m", "spec.memberGroup.group: there is no Group g",
			"spec.snatTranslation.ipPool: there is no IPPool inside with usage snat",
			"spec.accessListControl.group: there is no Group g", "spec.pool: there is no Pool p", "spec.router: there is no Router r", "spec.sorryPool: there is no Pool q",
		}},
		{"two servers at one port of an address: the second is at fault", [][3]string{
			{kindVirtualServer, "b", `ports: ["80-90"], pool: p, addresses: [203.0.113.1]`},
			{kindVirtualServer, "a", `ports: ["85"], pool: p, addresses: [203.0.113.1]`},
			{kindPool, "p", ``},
		}, []string{"spec.addresses: 203.0.113.1 belongs to VirtualServer a, and both want a port of it"}},
		{"packets that stay as they are have their source and port", [][3]string{
			{kindVirtualServer, "v", `ports: ["80"], pool: p, dispatch: DSR_L2`},
			{kindPool, "p", `members: [{address: 10.0.0.1, port: 80}, {address: 10.0.0.2, port: 8080}], snatTranslation: {type: AUTOMAP}`},
		}, []string{
			"spec.dispatch: DSR_L2 leaves packets as they are, and the Pool p has members at port 8080",
			"spec.dispatch: DSR_L2 leaves packets as they are, and the Pool p has snatTranslation AUTOMAP",
		}},
		{"likewise of a group", [][3]string{
			{kindVirtualServer, "v", `ports: ["80"], pool: p, dispatch: DSR_IPIP`},
			{kindPool, "p", `memberGroup: {podSelector: {}, port: 8080}`},
		}, []string{"spec.dispatch: DSR_IPIP leaves packets as they are, and the Pool p has members at port 8080"}},
		{"nobody is there for connections of a family", [][3]string{
			{kindVirtualServer, "v", `ports: ["80"], pool: p, addresses: [203.0.113.1, "2001:db8::1"]`},
			{kindPool, "p", `members: [{address: "fd00::1", port: 80}]`},
		}, []string{"spec.pool: the virtual server has an IPv4 address, and the Pool p no member that has one"}},
		{"a probe goes to a port", [][3]string{
			{kindPool, "p", `members: [{address: 10.0.0.1, port: 80}, {address: 10.0.0.2}], activeMonitors: [tcp, icmp, at81]`},
			{kindMonitor, "tcp", `type: TCP`},
			{kindMonitor, "icmp", `type: ICMP`},
			{kindMonitor, "at81", `type: TCP, monitorPort: 81`},
		}, []string{"spec.members[1]: has no port that the Monitor tcp could probe"}},
	} {
		x := newNative()
		for _, o := range row.put {
			x.put(t, o[0], o[1], o[2])
		}
		require.Equal(t, row.want, faultTexts(x.check()), row.why)
	}
}

// TestNativeMembersFollowLabels: a port that comes is a member, and what it does not concern stays the pointer that it was.
func TestNativeMembersFollowLabels(t *testing.T) {
	x := newNative()
	x.put(t, kindVirtualServer, "v", `ports: ["80"], pool: p`)
	x.put(t, kindVirtualServer, "w", `ports: ["81"], pool: q`)
	x.put(t, kindPool, "p", `memberGroup: {podSelector: {matchLabels: {app: shop}}, port: 80, ipRevisionFilter: IPV4}`)
	x.put(t, kindPool, "q", `members: [{address: 10.0.0.1, port: 80}]`)
	x.pod(1, "shop")
	x.pod(2, "blog")
	before := x.turn(t)
	require.Equal(t, before, x.turn(t))
	require.Same(t, before, x.turn(t), "nothing has changed")
	x.pod(3, "shop")
	after := x.turn(t)
	require.Len(t, after.Pools[0].Members, 2)
	require.Same(t, before.Pools[0].Members[0], after.Pools[0].Members[0], "who was there is who they were")
	require.Same(t, before.Pools[1], after.Pools[1])
	require.Same(t, before.Servers[1], after.Servers[1])
	require.Same(t, after.Pools[0], after.Servers[0].Frontends[0].Inside)
	x.pod(1, "blog")
	require.Equal(t, "10.244.1.3", x.turn(t).Pools[0].Members[0].Address.String())
}

// TestNativeGroups: Groups as members and as clients, who come and go.
func TestNativeGroups(t *testing.T) {
	x := newNative()
	web := service.Origin{Kind: kindGroup, Name: "web"}
	x.Put(web, new(int))
	x.put(t, kindVirtualServer, "v", `ports: ["80"], pool: p, accessListControl: {action: ALLOW, networks: [198.51.100.0/24], group: web}`)
	x.put(t, kindPool, "p", `memberGroup: {group: web, port: 80, ipRevisionFilter: IPV4}`)
	x.pod(1, "shop")
	x.groups[web] = &policy.Set{Ports: []uint16{1}, Prefixes: []policy.Prefix{
		policy.PrefixOf(netip.MustParsePrefix("10.9.0.0/31")), policy.PrefixOf(netip.MustParsePrefix("10.8.0.0/16")),
	}}
	c := x.turn(t)
	require.Equal(t, []string{
		"server v 192.0.2.100:80-80>p", "pool p LEAST_CONNECTION 10.9.0.0:80 10.9.0.1:80 10.244.1.1:80", "owns 192.0.2.100/32",
	}, described(c), "networks that are large are no list of servers")
	require.True(t, c.Servers[0].Frontends[0].Restricted)
	require.ElementsMatch(t, []netip.Prefix{
		netip.MustParsePrefix("198.51.100.0/24"), netip.MustParsePrefix("10.8.0.0/16"), netip.MustParsePrefix("10.9.0.0/31"),
		netip.MustParsePrefix("10.244.1.1/32"), netip.MustParsePrefix("fd00::1/128"),
	}, c.Servers[0].Allowed)
	x.groups[web] = &policy.Set{}
	c = x.turn(t)
	require.Empty(t, c.Pools[0].Members)
	require.Equal(t, []netip.Prefix{netip.MustParsePrefix("198.51.100.0/24")}, c.Servers[0].Allowed)
}

func TestNativeServerSettings(t *testing.T) {
	x := newNative()
	x.put(t, kindMonitor, "m", `type: TCP`)
	x.put(t, kindPool, "p", `members: [{address: 10.0.0.1, port: 80, maxConcurrentConnections: 9, backupMember: true, displayName: one}], activeMonitors: [m], minActiveMembers: 2,
    slowStartSeconds: 1.5, passiveMonitor: {maxFails: 3}, snatTranslation: {type: IP_POOL, ipPool: outside}`)
	x.put(t, kindPool, "q", `members: [{address: 10.0.0.9, port: 80}]`)
	x.put(t, kindVirtualServer, "a", `ports: ["80"], pool: p, sorryPool: q, protocol: UDP, enabled: false, accessLogEnabled: true, maxConcurrentConnections: 7, maxNewConnectionRate: 8,
    persistence: {sharedBy: both, purge: NO_PURGE}, accessListControl: {action: DROP, networks: [198.51.100.1]}`)
	x.put(t, kindVirtualServer, "b", `ports: ["80"], pool: p, persistence: {sharedBy: both, timeoutSeconds: 60}, accessListControl: {action: DROP, enabled: false, networks: [198.51.100.1]}`)
	x.put(t, kindVirtualServer, "c", `ports: ["81"], pool: q, dispatch: DSR_IPIP, addresses: [192.0.2.9], persistence: {sharedBy: both}`)
	// DSR leaves ports as they are, and the pool's are others.
	require.Equal(t, []string{"spec.dispatch: DSR_IPIP leaves packets as they are, and the Pool q has members at port 80"}, faultTexts(x.check()))
	x.put(t, kindVirtualServer, "c", `ports: ["80"], pool: q, dispatch: DSR_IPIP, addresses: [192.0.2.9], persistence: {sharedBy: both}`)
	c := x.turn(t)
	a, b, d := c.Servers[0], c.Servers[1], c.Servers[2]
	require.True(t, a.Disabled && a.LogEnds)
	require.Equal(t, [2]uint32{7, 8}, [2]uint32{a.MaxConnections, a.MaxRate})
	require.Equal(t, uint8(packet.ProtoUDP), a.Frontends[0].Protocol)
	require.Equal(t, []netip.Prefix{netip.MustParsePrefix("198.51.100.1/32")}, a.Denied)
	require.Empty(t, b.Denied, "the list is not enabled")
	require.Same(t, c.Pools[1], a.Frontends[0].Sorry)
	require.Nil(t, b.Frontends[0].Sorry)
	require.Equal(t, service.SourceFromPool, a.Source)
	require.Equal(t, "outside", a.Pool.Name)
	require.Same(t, c.Sources[0], a.Pool)
	require.Equal(t, service.Affinity{ID: a.Affinity.ID, TimeoutNs: 300e9, NoPurge: true}, *a.Affinity)
	require.Equal(t, service.Affinity{ID: a.Affinity.ID, TimeoutNs: 60e9}, *b.Affinity, "who shares a word and a pool shares clients")
	require.NotEqual(t, a.Affinity.ID, d.Affinity.ID, "another pool has other members")
	require.Equal(t, service.DirectIPIP, d.Dispatch)
	p := c.Pools[0]
	require.Equal(t, 2, p.MinActive)
	require.Equal(t, int64(1.5e9), p.SlowStartNs)
	require.Equal(t, &service.Passive{MaxFails: 3, TimeoutNs: 5e9}, p.Passive)
	require.Equal(t, "m", p.Monitors[0].Name)
	m := *p.Members[0]
	m.ID = 0
	require.Equal(t, service.Member{Name: "one", Address: packet.AddrFrom(netip.MustParseAddr("10.0.0.1")), Port: 80, Weight: 1, Backup: true, MaxConnections: 9}, m)
}
