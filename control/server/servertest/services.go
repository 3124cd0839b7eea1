package servertest

import (
	"iter"
	"net/netip"
	"time"

	"github.com/sluice-net/sluice/api"
)

// VirtualServerViews are VirtualServers.
func (s *Source) VirtualServerViews(f *api.Filter) (iter.Seq[api.VirtualServerView], error) {
	return fixed(s, "virtual server", s.VirtualServers, func(v *api.VirtualServerView) string { return v.Name }, f)
}

// LBPoolViews are LBPools.
func (s *Source) LBPoolViews(f *api.Filter) (iter.Seq[api.LBPoolView], error) {
	return fixed(s, "pool", s.LBPools, func(v *api.LBPoolView) string { return v.Name }, f)
}

// LBMemberViews are LBMembers.
func (s *Source) LBMemberViews(f *api.Filter) (iter.Seq[api.LBMemberView], error) {
	return fixed(s, "member", s.LBMembers, func(v *api.LBMemberView) string { return v.Name }, f)
}

// NATRuleViews are NATRules.
func (s *Source) NATRuleViews(f *api.Filter) (iter.Seq[api.NATRuleView], error) {
	return fixed(s, "NAT rule", s.NATRules, func(v *api.NATRuleView) string { return v.Name }, f)
}

func smallServers() []api.VirtualServerView {
	return []api.VirtualServerView{
		{
			Name: "demo/web:http", ID: 1, Origin: api.ObjectRef{Kind: "Service", Namespace: "demo", Name: "web"},
			State: api.ServicePartiallyUp, Reason: "1 of 2 members are up", Protocol: "TCP",
			Frontends: []api.FrontendView{
				{Kind: "ClusterIP", Address: netip.MustParseAddr("10.0.3.1"), Ports: "80", InsidePool: "demo/web:http", OutsidePool: "demo/web:http"},
				{Kind: "LoadBalancer", Address: netip.MustParseAddr("192.0.2.10"), Ports: "80", InsidePool: "demo/web:http", OutsidePool: "demo/web:http", Restricted: true},
			},
			Pool: "demo/web:http", Algorithm: "ROUND_ROBIN", Affinity: &api.PersistenceView{Type: "SOURCE_IP", Timeout: 10800},
			SourceTranslation: "AS_NEEDED", Dispatch: "NAT", AllowedSources: []netip.Prefix{netip.MustParsePrefix("198.51.100.0/24")},
			Members: 2, MembersUp: 1, Connections: api.ConnectionCounts{Active: 1, Total: 9, Rate: 0.2}, NoBackend: 4, Denied: 2,
			Original: api.Traffic{Packets: 100, Bytes: 9000}, Reply: api.Traffic{Packets: 90, Bytes: 800000},
		},
		{
			Name: "dns", ID: 2, Origin: api.ObjectRef{Kind: "VirtualServer", Name: "dns"}, State: api.ServicePending,
			Reason: "it has no address: the status of the VirtualServer says why", Pool: "dns", Algorithm: "MAGLEV",
			SourceTranslation: "IP_POOL", SourcePool: "outside", Dispatch: "NAT", MaxConnections: 100,
		},
	}
}

func smallPools() []api.LBPoolView {
	return []api.LBPoolView{
		{
			Name: "demo/web:http", ID: 11, Origin: api.ObjectRef{Kind: "Service", Namespace: "demo", Name: "web"},
			State: api.ServicePartiallyUp, Reason: "1 of 2 members are up", Algorithm: "ROUND_ROBIN", Members: 2, MembersUp: 1, MinActive: 1,
			Monitors: []string{"http (HTTP)"}, VirtualServers: []string{"demo/web:http"}, Connections: api.ConnectionCounts{Active: 1, Total: 9, Rate: 0.2},
		},
		{
			Name: "dns", ID: 12, Origin: api.ObjectRef{Kind: "Pool", Name: "dns"}, State: api.ServiceDown, Reason: "it has no members",
			Algorithm: "MAGLEV", MinActive: 2, Passive: &api.PassiveView{MaxFails: 5, Timeout: 5}, VirtualServers: []string{"dns"},
		},
	}
}

func smallMembers(started time.Time) []api.LBMemberView {
	web := api.ObjectRef{Kind: "Service", Namespace: "demo", Name: "web"}
	return []api.LBMemberView{
		{
			Name: "db/db-1", ID: 3, Pool: "demo/web:http", Origin: web, Address: netip.MustParseAddr("10.0.2.20"), Port: 8080, Weight: 1,
			AdminState: "ENABLED", State: api.MemberUp, Health: "UP", Since: started, For: 75, Eligible: true, At: "db/db-1", Local: true,
			Connections: api.ConnectionCounts{Active: 1, Total: 9, Rate: 0.2},
			Original:    api.Traffic{Packets: 100, Bytes: 9000}, Reply: api.Traffic{Packets: 90, Bytes: 800000},
			History: []api.HealthChange{{Time: started, Health: "UP", Reason: "HTTP: status 200 (rise 3 of 3)"}},
		},
		{
			Name: "10.0.2.21:8080", ID: 4, Pool: "demo/web:http", Origin: web, Address: netip.MustParseAddr("10.0.2.21"), Port: 8080, Weight: 1,
			AdminState: "ENABLED", State: api.MemberDown, Health: "DOWN", Since: started, For: 20, Reason: "HTTP: connection refused (fall 3 of 3)",
			History: []api.HealthChange{
				{Time: started.Add(-time.Minute), Health: "UP", Reason: "HTTP: status 200 (rise 3 of 3)"},
				{Time: started, Health: "DOWN", Reason: "HTTP: connection refused (fall 3 of 3)"},
			},
		},
	}
}

func smallNAT() []api.NATRuleView {
	return []api.NATRuleView{
		{
			Order: 1, Name: "demo/out", ID: 21, Origin: api.ObjectRef{Kind: "NATRule", Namespace: "demo", Name: "out"}, Router: "default", Priority: 10,
			Action: "SNAT", Sources: []netip.Prefix{netip.MustParsePrefix("10.0.1.0/24")}, To: "outside", FirewallMatch: "MATCH_INTERNAL_ADDRESS",
			Hits: 7, Translations: 3,
			Pool: &api.SourcePoolView{Name: "outside", Addresses: []string{"192.0.2.30"}, Size: 1, Ports: "1024-65535", Sessions: 3, Free: 64509, Exhausted: 1},
		},
		{
			Order: 2, Name: "ssh", ID: 22, Origin: api.ObjectRef{Kind: "NATRule", Name: "ssh"}, Router: "default", Priority: 20, Action: "DNAT",
			Uplinks: []string{"uplink"}, Protocol: "TCP", Destinations: []netip.Prefix{netip.MustParsePrefix("192.0.2.1/32")}, Ports: []string{"2222"},
			To: "10.0.1.10:22", FirewallMatch: "BYPASS", Logged: true,
		},
	}
}
