package policy

import (
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluice-net/sluice/control"
	"github.com/sluice-net/sluice/firewall/policy"
	"github.com/sluice-net/sluice/packet"
)

// site is a web server and a database behind one router, with IPv6 at both; a second host of the web's
// segment; a trunk without addresses; a segment without a router whose host has the web server's address; and
// an uplink.
const site = `
apiVersion: sluice.dev/v1
kind: Segment
metadata: {name: web}
spec: {subnets: [{cidr: 10.0.1.0/24}, {cidr: "fd00:1::/64"}]}
---
apiVersion: sluice.dev/v1
kind: Segment
metadata: {name: db}
spec: {subnets: [{cidr: 10.0.2.0/24}, {cidr: "fd00:2::/64"}]}
---
apiVersion: sluice.dev/v1
kind: Segment
metadata: {name: alone}
spec: {subnets: [{cidr: 10.0.1.0/24}], router: none}
---
apiVersion: sluice.dev/v1
kind: Port
metadata: {name: web, namespace: shop, labels: {app: web}}
spec: {segment: web, addresses: [{ip: 10.0.1.10}, {ip: "fd00:1::a"}]}
---
apiVersion: sluice.dev/v1
kind: Port
metadata: {name: other, namespace: shop}
spec: {segment: web, addresses: [{ip: 10.0.1.11}]}
---
apiVersion: sluice.dev/v1
kind: Port
metadata: {name: db, namespace: shop, labels: {app: db}}
spec: {segment: db, addresses: [{ip: 10.0.2.20}, {ip: "fd00:2::14"}]}
---
apiVersion: sluice.dev/v1
kind: Port
metadata: {name: six, namespace: shop}
spec: {segment: db, addresses: [{ip: "fd00:2::66"}]}
---
apiVersion: sluice.dev/v1
kind: Port
metadata: {name: trunk}
spec: {segment: web, guard: false}
---
apiVersion: sluice.dev/v1
kind: Port
metadata: {name: twin}
spec: {segment: alone, addresses: [{ip: 10.0.1.10}]}
---
apiVersion: sluice.dev/v1
kind: Port
metadata: {name: free}
spec: {segment: web, addresses: [{ip: 10.0.1.50}]}
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

// siteModel compiles site.
func siteModel(t testing.TB) *control.Model {
	t.Helper()
	path := filepath.Join(t.TempDir(), "site.yaml")
	require.NoError(t, os.WriteFile(path, []byte(site), 0o600))
	objects, faults := control.Load([]string{path}, nil, control.Options{})
	require.Empty(t, faults)
	m, faults := control.Compile(control.Input{Objects: objects, Revision: 7})
	require.Empty(t, faults)
	return m
}

// Sets of sitePolicy.
const (
	webSet policy.SetID = iota + 2
	dbSet
	officeSet
	freeSet
	webFrames
)

// number returns a port's number.
func number(t testing.TB, m *control.Model, name string) uint16 {
	t.Helper()
	i := slices.IndexFunc(m.Ports, func(p *control.Port) bool { return p.Name == name })
	require.GreaterOrEqual(t, i, 0, name)
	return m.Ports[i].Number
}

// sitePolicy is about a shop: the web server is for the office and everybody by HTTP, the database for the web
// server, and what is not said is denied. free is on the exclusion list.
func sitePolicy(t testing.TB, m *control.Model) *policy.Policy {
	t.Helper()
	p := &policy.Policy{Excluded: freeSet, Default: policy.Rule{Action: policy.Allow}}
	for _, port := range m.Ports {
		for len(p.Endpoints) <= int(port.Number) {
			p.Endpoints = append(p.Endpoints, nil)
		}
		if port.Uplink >= 0 || port.Name == "free" {
			continue
		}
		e := &policy.Endpoint{Number: port.Number, Name: port.Name, Scope: m.Segments[port.Segment].Scope}
		for _, a := range port.Addresses {
			e.Addresses = append(e.Addresses, packet.AddrFrom(a.IP))
			e.MACs = append(e.MACs, packet.MAC(a.MAC))
		}
		p.Endpoints[port.Number] = e
	}
	web, db := number(t, m, "shop/web"), number(t, m, "shop/db")
	p.Sets = []*policy.Set{
		nil,
		{},
		webSet:    {Ports: []uint16{web}},
		dbSet:     {Ports: []uint16{db}},
		officeSet: {Prefixes: []policy.Prefix{policy.PrefixOf(netip.MustParsePrefix("192.0.2.64/26"))}},
		freeSet:   {Ports: []uint16{number(t, m, "free")}},
		webFrames: {Ports: []uint16{web}},
	}
	both := policy.In | policy.Out
	any46 := policy.IPv4 | policy.IPv6
	tcp := func(port uint16) []policy.Service {
		return []policy.Service{{Protocol: packet.ProtoTCP, DestPorts: []policy.PortRange{{First: port, Last: port}}, ICMPType: -1, ICMPCode: -1}}
	}
	section := func(kind, name string, c policy.Category, rules ...policy.Rule) *policy.Section {
		return &policy.Section{Origin: policy.Origin{Kind: kind, Namespace: "shop", Name: name}, Title: name, Category: c, Rules: rules}
	}
	p.Sections = []*policy.Section{
		section("SecurityPolicy", "frames", policy.Ethernet,
			policy.Rule{
				ID: 1000, Name: "no-v6-to-web", Action: policy.Drop, Directions: policy.In, Families: any46, AppliedTo: webFrames,
				Services: []policy.Service{{EtherType: packet.EtherTypeIPv6}}, SourceText: nil, ServicesText: []string{"IPv6"},
			},
			policy.Rule{ID: 1001, Name: "web-frames", Action: policy.Allow, Directions: both, Families: any46, AppliedTo: webFrames},
		),
		section("SecurityPolicy", "quarantine", policy.Emergency, policy.Rule{
			ID: 1010, Name: "telnet", Action: policy.Reject, Directions: both, Families: any46, Services: tcp(23), ServicesText: []string{"TCP 23"},
		}),
		section("ClusterNetworkPolicy", "admin", policy.Environment, policy.Rule{
			ID: 1020, Name: "office", Action: policy.JumpToApplication, Directions: policy.In, Families: any46, AppliedTo: webSet,
			Source: officeSet, SourceText: []string{"192.0.2.64/26"},
		}, policy.Rule{
			ID: 1021, Name: "nobody-ssh", Action: policy.Drop, Directions: policy.In, Families: any46, Services: tcp(22), ServicesText: []string{"TCP 22"},
		}),
		{Title: "Kubernetes begins", Category: policy.Application, Sequence: 1000000, Marker: true},
		section("NetworkPolicy", "shop", policy.Application,
			policy.Rule{
				ID: 1030, Name: "ingress[0]", Action: policy.Allow, Directions: policy.In, Families: any46, AppliedTo: webSet,
				Services: append(tcp(80), tcp(22)...), ServicesText: []string{"TCP 80", "TCP 22"},
			},
			policy.Rule{
				ID: 1031, Name: "ingress[1]", Action: policy.Allow, Directions: policy.In, Families: any46, AppliedTo: dbSet,
				Source: webSet, SourceText: []string{"pods with app=web"}, Services: tcp(5432), ServicesText: []string{"TCP 5432"},
			},
		),
		{
			Origin: policy.Origin{Kind: "SecurityPolicy", Name: "ping"}, Title: "ping", Category: policy.Application, Stateless: true, Established: policy.Keep,
			Rules: []policy.Rule{{
				ID: 1040, Name: "echo", Action: policy.Allow, Directions: both, Families: any46,
				Services: []policy.Service{
					{Protocol: packet.ProtoICMP, ICMPType: 8, ICMPCode: -1}, {Protocol: packet.ProtoICMPv6, ICMPType: 128, ICMPCode: -1},
				},
				ServicesText: []string{"ping"},
			}},
		},
		section("NetworkPolicy", "shop isolation", policy.Application, policy.Rule{
			ID: 1050, Name: "isolation.ingress", Action: policy.Drop, Directions: policy.In, Families: any46, AppliedTo: webSet,
		}, policy.Rule{
			ID: 1051, Name: "isolation.ingress", Action: policy.Drop, Directions: policy.In, Families: any46, AppliedTo: dbSet,
		}),
	}
	return p
}

func siteEvaluator(t testing.TB) *Evaluator {
	t.Helper()
	m := siteModel(t)
	e, err := newEvaluator(m, sitePolicy(t, m))
	require.NoError(t, err)
	return e
}
