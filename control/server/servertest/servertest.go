// Package servertest serves a made-up node, for tests of the API's server and
// of those that ask it.
package servertest

import (
	"context"
	"iter"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-net/sluice/api"
	"github.com/sluice-net/sluice/control/server"
)

// Source is a server.Source of fixed answers. Of filters it knows names only; the
// last one is kept.
type Source struct {
	Ports     []api.PortView
	Segments  []api.SegmentView
	Routes    []api.RouteView
	MACs      []api.MACView
	Neighbors []api.NeighborView
	Sessions  []api.SessionView
	Workers   []api.WorkerView
	Drops     []api.DropView
	Pools     []api.PoolView
	Rules     []api.RuleView
	Policies  []api.PolicyView
	Groups    []api.GroupView

	VirtualServers []api.VirtualServerView
	LBPools        []api.LBPoolView
	LBMembers      []api.LBMemberView
	NATRules       []api.NATRuleView

	Policy      api.PolicyAnswer // what EvaluatePolicy returns
	PolicyError error
	Lint        api.PolicyLint

	Node     api.Status
	Revision uint64
	Objects  []any
	Takeover error // what ConfirmTakeover returns

	mu     sync.Mutex
	filter api.Filter
	query  api.PolicyQuery
}

// Filter returns the last filter.
func (s *Source) Filter() api.Filter {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.filter
}

func fixed[T any](s *Source, what string, list []T, nameOf func(*T) string, f *api.Filter) (iter.Seq[T], error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.filter = *f
	if len(f.Names) == 0 {
		return slices.Values(list), nil
	}
	var names []string
	var found []T
	for i := range list {
		names = append(names, nameOf(&list[i]))
		if f.Match(nameOf(&list[i])) {
			found = append(found, list[i])
		}
	}
	for _, name := range f.Names {
		if !slices.Contains(names, name) {
			return nil, api.NotFound(what, name, names)
		}
	}
	return slices.Values(found), nil
}

// PortViews are Ports, and so on.
func (s *Source) PortViews(f *api.Filter) (iter.Seq[api.PortView], error) {
	return fixed(s, "port", s.Ports, func(v *api.PortView) string { return v.Name }, f)
}

// SegmentViews are Segments.
func (s *Source) SegmentViews(f *api.Filter) (iter.Seq[api.SegmentView], error) {
	return fixed(s, "segment", s.Segments, func(v *api.SegmentView) string { return v.Name }, f)
}

// RouteViews are Routes.
func (s *Source) RouteViews(f *api.Filter) (iter.Seq[api.RouteView], error) {
	return fixed(s, "route to", s.Routes, func(v *api.RouteView) string { return v.Prefix.String() }, f)
}

// MACViews are MACs.
func (s *Source) MACViews(f *api.Filter) (iter.Seq[api.MACView], error) {
	return fixed(s, "MAC address", s.MACs, func(v *api.MACView) string { return v.MAC.String() }, f)
}

// NeighborViews are Neighbors.
func (s *Source) NeighborViews(f *api.Filter) (iter.Seq[api.NeighborView], error) {
	return fixed(s, "neighbor", s.Neighbors, func(v *api.NeighborView) string { return v.IP.String() }, f)
}

// SessionViews are Sessions.
func (s *Source) SessionViews(f *api.Filter) (iter.Seq[api.SessionView], error) {
	return fixed(s, "session", s.Sessions, func(*api.SessionView) string { return "" }, f)
}

// WorkerViews are Workers.
func (s *Source) WorkerViews(f *api.Filter) (iter.Seq[api.WorkerView], error) {
	return fixed(s, "worker", s.Workers, func(*api.WorkerView) string { return "" }, f)
}

// DropViews are Drops.
func (s *Source) DropViews(f *api.Filter) (iter.Seq[api.DropView], error) {
	return fixed(s, "drop reason", s.Drops, func(v *api.DropView) string { return v.Reason }, f)
}

// PoolViews are Pools.
func (s *Source) PoolViews(f *api.Filter) (iter.Seq[api.PoolView], error) {
	return fixed(s, "pool", s.Pools, func(v *api.PoolView) string { return v.Name }, f)
}

// RuleViews are Rules.
func (s *Source) RuleViews(f *api.Filter) (iter.Seq[api.RuleView], error) {
	return fixed(s, "rule", s.Rules, func(v *api.RuleView) string { return strconv.Itoa(int(v.ID)) }, f)
}

// PolicyViews are Policies.
func (s *Source) PolicyViews(f *api.Filter) (iter.Seq[api.PolicyView], error) {
	return fixed(s, "section", s.Policies, func(v *api.PolicyView) string { return v.Name }, f)
}

// GroupViews are Groups.
func (s *Source) GroupViews(f *api.Filter) (iter.Seq[api.GroupView], error) {
	return fixed(s, "group", s.Groups, func(v *api.GroupView) string { return v.Name }, f)
}

// EvaluatePolicy is Policy, or PolicyError.
func (s *Source) EvaluatePolicy(q *api.PolicyQuery) (*api.PolicyAnswer, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.query = *q
	if s.PolicyError != nil {
		return nil, s.PolicyError
	}
	return &s.Policy, nil
}

// LintPolicy is Lint.
func (s *Source) LintPolicy() (*api.PolicyLint, error) { return &s.Lint, nil }

// PolicyQuery returns the last question about the policy.
func (s *Source) PolicyQuery() api.PolicyQuery {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.query
}

// Status is Node.
func (s *Source) Status() api.Status { return s.Node }

// Config is Revision and Objects.
func (s *Source) Config() (uint64, []any) { return s.Revision, s.Objects }

// ConfirmTakeover returns Takeover.
func (s *Source) ConfirmTakeover() error { return s.Takeover }

// Socket returns a path for a socket, short enough wherever the test's own folder is.
func Socket(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "sl")
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, os.RemoveAll(dir)) })
	return filepath.Join(dir, "api")
}

// Start serves a source until the test is over and returns the API's address.
func Start(t testing.TB, s server.Source) (address string) {
	t.Helper()
	path := Socket(t)
	StartAt(t, s, server.Options{Socket: path})
	return "unix:" + path
}

// StartAt is Start with options; stop ends the server and may be called several times.
func StartAt(t testing.TB, s server.Source, o server.Options) (stop func()) {
	t.Helper()
	return start(t, s, o)
}

// start serves on a socket, and on other listeners.
func start(t testing.TB, s server.Source, o server.Options, more ...net.Listener) (stop func()) {
	t.Helper()
	l, err := server.ListenFor(o.Socket, o.Admins, o.Viewers)
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- server.New(s, o).Serve(ctx, append(more, l)...) }()
	stop = sync.OnceFunc(func() {
		cancel()
		require.NoError(t, <-done)
	})
	t.Cleanup(stop)
	return stop
}

// Small is a node with something of everything.
func Small() *Source {
	cpu := 2
	started := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	web1, db1 := netip.MustParseAddr("10.0.1.10"), netip.MustParseAddr("10.0.2.20")
	mac1 := api.MAC{0x0a, 0x58, 10, 0, 1, 10}
	return &Source{
		Ports: []api.PortView{
			{
				Name: "demo/web-1", Number: 1, Pod: true, Segment: "demo", Guard: true, MTU: 1500, State: api.PortUp,
				Addresses: []api.PortAddress{{IP: web1, MAC: mac1}},
				Device: api.DeviceView{
					Type: api.DeviceAFPacket, Name: "veth1", NetNS: "web1", Mode: "packet socket, vnet_hdr, 2 queues", Queues: 2, MTU: 1500,
					Up: true, KernelDrops: 3, Counters: map[string]uint64{"received": 1000, "sent": 900, "rxLost": 3},
				},
				Rx: api.Traffic{Packets: 1000, Bytes: 64000}, Tx: api.Traffic{Packets: 900, Bytes: 57600},
				Dropped: 12, Drops: map[string]uint64{"SPOOF_GUARD": 10, "FIB_LOOKUP_FAILED": 2},
			},
			{
				Name: "demo/web-2", Number: 2, Segment: "demo", MTU: 1500, State: api.PortAbsent,
				Reason: "DeviceUnusable", Message: "no such device: make it (ip link add tap2 ...)",
				Device: api.DeviceView{Type: api.DeviceTAP, Name: "tap2", Error: "no such device: make it (ip link add tap2 ...)"},
			},
			{
				Name: "trunk", Number: 3, Segments: []string{"db", "demo"}, MTU: 1500, State: api.PortDown,
				Reason: "LinkDown", Message: "the link is down", Device: api.DeviceView{Type: api.DeviceAFXDP, Name: "eth1", Mode: "native, copy"},
			},
			{Name: "uplink", Number: 4, Router: "default", MTU: 9000, State: api.PortUp, Device: api.DeviceView{Type: api.DeviceAFPacket, Name: "eth2", Up: true}},
		},
		Segments: []api.SegmentView{
			{
				Name: "demo", Zone: 1, VLAN: 100, MTU: 1500, Router: "default", Ports: []string{"demo/web-1", "demo/web-2", "trunk"},
				Subnets: []api.SubnetView{
					{CIDR: netip.MustParsePrefix("10.0.1.0/24"), Gateway: netip.MustParseAddr("10.0.1.1")},
					{CIDR: netip.MustParsePrefix("fd00:1::/64"), Gateway: netip.MustParseAddr("fd00:1::1")},
				},
				DHCP: []string{"dhcpv4", "ra:stateful_dhcp"},
			},
			{Name: "plain", Zone: 2, VNI: 5000, MTU: 1500},
		},
		Routes: []api.RouteView{
			{Router: "default", Prefix: netip.MustParsePrefix("0.0.0.0/0"), Type: api.RouteDefault, Via: netip.MustParseAddr("192.0.2.254"), Out: "uplink", Active: true},
			{Router: "default", Prefix: netip.MustParsePrefix("10.0.1.0/24"), Type: api.RouteConnected, Out: "demo", Active: true},
			{Router: "default", Prefix: netip.MustParsePrefix("10.9.0.0/16"), Type: api.RouteBlackhole, Active: true},
			{Router: "default", Prefix: netip.MustParsePrefix("10.9.0.0/16"), Type: api.RouteStatic, Via: netip.MustParseAddr("10.0.1.9"), Out: "demo"},
		},
		MACs: []api.MACView{
			{Segment: "demo", MAC: mac1, Port: "demo/web-1", Type: api.MACBound},
			{Segment: "demo", MAC: api.MAC{2, 0, 0, 0, 0, 9}, Port: "trunk", Type: api.MACLearned, Age: 75.5, Held: true, Moves: 6},
			{Segment: "db", MAC: api.MAC{2, 0, 0, 0, 0, 8}, Port: "trunk", Type: api.MACLearned, Age: 0.25},
		},
		Neighbors: []api.NeighborView{
			{Router: "default", IP: netip.MustParseAddr("192.0.2.254"), MAC: api.MAC{2, 0, 0, 0, 0, 1}, State: api.NeighborKnown, Out: "uplink", Port: "uplink", Age: 3},
			{Router: "default", IP: web1, MAC: mac1, State: api.NeighborBound, Out: "demo", Port: "demo/web-1"},
			{Router: "default", IP: db1, State: api.NeighborIncomplete, Out: "db", Age: 1, Queue: 2},
		},
		Sessions: []api.SessionView{
			{
				ID: 7, Segment: "demo", Protocol: "TCP", ProtocolNumber: 6, State: "ESTABLISHED",
				Original: api.SessionDirection{
					SessionTuple: api.SessionTuple{Source: web1, SourcePort: 40000, Destination: netip.MustParseAddr("10.0.3.1"), DestinationPort: 80},
					Port:         "demo/web-1", Packets: 10, Bytes: 1200,
				},
				Reply: api.SessionDirection{
					SessionTuple: api.SessionTuple{Source: db1, SourcePort: 8080, Destination: web1, DestinationPort: 40000},
					Port:         "trunk", Packets: 8, Bytes: 90000,
				},
				Translated: &api.SessionTuple{Source: web1, SourcePort: 40000, Destination: db1, DestinationPort: 8080},
				Service: &api.SessionService{
					Name: "demo/web:http", ID: 1, VIP: netip.MustParseAddr("10.0.3.1"), Port: 80,
					Member: &api.SessionMember{Name: "db/db-1", ID: 3, Address: db1, Port: 8080, Why: "ROUND_ROBIN"},
				},
				Rules: api.SessionRules{Ingress: 1001},
				Start: started, Age: 4000, Idle: 2, Timeout: 86400,
			},
			{
				ID: 8, Uplink: "uplink", Protocol: "ICMPv6", ProtocolNumber: 58, State: "FIRST",
				Original: api.SessionDirection{
					SessionTuple: api.SessionTuple{Source: netip.MustParseAddr("2001:db8::1"), Destination: netip.MustParseAddr("fd00:1::a")},
					Port:         "uplink", Packets: 1, Bytes: 118,
				},
				Reply: api.SessionDirection{SessionTuple: api.SessionTuple{Source: netip.MustParseAddr("fd00:1::a"), Destination: netip.MustParseAddr("2001:db8::1")}},
				ICMP:  &api.ICMPQuery{Type: 128, ID: 4711}, Start: started, Age: 1, Idle: 1, Timeout: 20,
			},
		},
		Workers: []api.WorkerView{
			{
				ID: 0, CPU: &cpu, BusySeconds: 12, BusyShare: 0.123, Turns: 5000, Vectors: 100, Frames: 1234, FramesPerVector: 12.34, Sleeps: 40,
				Queues: []api.WorkerQueue{{Port: "demo/web-1", Queue: 0}, {Port: "trunk", Queue: 0}},
			},
			{ID: 1},
		},
		Drops: []api.DropView{
			{Reason: "SPOOF_GUARD", Component: "SpoofGuard", Meaning: "source MAC or IP not bound to the port", Port: "demo/web-1", Count: 10},
			{Reason: "FIB_LOOKUP_FAILED", Component: "Routing", Meaning: "FIB lookup failed", Port: "demo/web-1", Count: 2},
		},
		Pools: []api.PoolView{
			{
				Name: "demo", Usage: api.UsagePorts, Ranges: []string{"10.0.1.0/24"}, Size: 254, Used: 2, Quarantined: 1, Free: 251,
				Allocations: []api.AllocationView{
					{Address: netip.MustParseAddr("10.0.1.1"), Owner: "gateway"},
					{Address: web1, Owner: "demo/web-1"},
					{Address: netip.MustParseAddr("10.0.1.11"), Owner: "demo/old", Quarantined: true},
				},
			},
			{Name: "outside", Usage: api.UsageVIPs, Ranges: []string{"192.0.2.10-192.0.2.19"}, Size: 10, Free: 10},
		},
		VirtualServers: smallServers(), LBPools: smallPools(), LBMembers: smallMembers(started), NATRules: smallNAT(),
		Rules: smallRules(started), Policies: smallPolicies(started),
		Groups: []api.GroupView{
			{
				Name: "demo/web", Ports: []api.GroupPort{{Name: "demo/web-1", Addresses: []netip.Addr{web1}}, {Name: "demo/web-2"}},
				UsedBy:   []api.GroupUse{{RuleRef: smallRules(started)[0].RuleRef, As: []string{"destination", "appliedTo"}}},
				Warnings: []string{"port demo/web-2 has no address: rules by source and destination never match it"},
			},
			{Name: "office", Prefixes: []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24"), netip.MustParsePrefix("2001:db8::/48")}, MACs: []api.MAC{{2, 0, 0, 0, 0, 1}}},
		},
		Lint: api.PolicyLint{Revision: 3, Rules: 3, Findings: []api.LintFinding{{
			Kind: "never-hit", Severity: api.LintInfo, Rule: smallRules(started)[1].RuleRef, Text: "has decided no packet since its counters began",
			Witness: "OUT of demo/web-1: TCP 10.0.1.10:49152 > 10.0.2.20:80",
		}}},
		Policy: api.PolicyAnswer{
			Verdict: api.SecurityDrop, Revision: 3, Protocol: "TCP",
			From: api.PolicyEnd{Address: netip.MustParseAddr("192.0.2.9"), L4Port: 49152}, To: api.PolicyEnd{Port: "demo/web-1", Address: web1, L4Port: 22},
			Egress: api.PolicyPoint{Verdict: api.SecurityAllow, Reason: "the sender is none of the switch's ports"},
			Ingress: api.PolicyPoint{
				Verdict: api.SecurityDrop, Filtered: true, Rule: &smallRules(started)[2].RuleRef,
				Near: []api.NearRule{{RuleRef: smallRules(started)[0].RuleRef, Failed: "TCP port 22 from port 49152 is none of TCP 80"}},
			},
		},
		Node: api.Status{
			Version: "v0.2.0", Revision: 3, Digest: "0123456789abcdef", Epoch: 5, Started: started, Uptime: 7200, Ready: true,
			LastError: "b.yaml:3:1: Port web/b: faults\nb.yaml:9:1: more", LastErrorAt: started.Add(time.Hour),
			Takeovers: []api.TakeoverStatus{
				{Device: "eth0", State: api.TakeoverTrial, Reason: "the default route leaves by it", Until: started.Add(2 * time.Hour)},
			},
			Ports:    api.PortCount{Total: 4, Up: 2, Down: 1, Absent: 1},
			Sessions: api.SessionCount{Live: 2, Capacity: 1 << 20, Created: 9, Ended: map[string]uint64{"IDLE_TIMEOUT": 6, "RESET": 1}},
			Memory:   api.MemoryStatus{Buffers: 16640, BuffersInUse: 128, Pages: "thp 48 of 48 MiB", Sessions: 400 << 20, Resident: 512 << 20},
			Ledger:   api.LedgerStatus{Received: 1000, Generated: 5, Transmitted: 990, Dropped: 12, Consumed: 3},
			Crashes:  1, First: []api.CrashStatus{{Worker: 1, Stage: "rewrite", Port: "trunk", Value: "index out of range", Stack: "goroutine 1\n\tx.go:1\n"}},
		},
		Revision: 3,
		Objects: []any{&api.Segment{
			TypeMeta: api.TypeMeta{APIVersion: api.APIVersion, Kind: "Segment"}, ObjectMeta: api.ObjectMeta{Name: "demo"},
			Spec: api.SegmentSpec{VLAN: 100},
		}},
	}
}

func smallRules(started time.Time) []api.RuleView {
	origin := &api.ObjectRef{Kind: "SecurityPolicy", Namespace: "demo", Name: "web"}
	section := func(id uint32, name string, action api.SecurityAction) api.RuleRef {
		return api.RuleRef{ID: id, Name: name, Action: action, Category: api.CategoryApplication, Section: "web", Origin: origin}
	}
	return []api.RuleView{
		{
			Order: 1, RuleRef: section(1000, "in", api.SecurityAllow), Direction: api.DirectionIn, IPProtocol: api.RuleBoth,
			Sources: []string{"office"}, Destinations: []string{"demo/web"}, Services: []string{"TCP 80"}, AppliedTo: []string{"demo/web-1", "demo/web-2"}, Ports: 2,
			Established: api.EstablishedRecheck, Logged: true, Tag: "web-in", MaxSessions: 1000, MaxSessionsPerSource: 10,
			Hits: api.Hits{Packets: 120, Bytes: 64000, Sessions: 9, LastHit: started.Add(time.Hour), LastHitAge: 3600},
		},
		{
			Order: 2, RuleRef: section(1001, "out", api.SecurityReject), Direction: api.DirectionOut, IPProtocol: api.RuleIPv4,
			Destinations: []string{"demo/web"}, DestinationsExcluded: true, AppliedTo: []string{"demo/web-1", "demo/web-2"}, Ports: 2,
			Established: api.EstablishedKeep, Stateless: true,
		},
		{
			Order: 3, RuleRef: api.RuleRef{ID: 2, Name: "default", Action: api.SecurityDrop, Category: api.CategoryApplication},
			Direction: api.DirectionInOut, IPProtocol: api.RuleBoth, Ports: 2, Established: api.EstablishedRecheck,
		},
	}
}

func smallPolicies(started time.Time) []api.PolicyView {
	return []api.PolicyView{
		{
			Order: 1, Name: "web", Category: api.CategoryApplication, Sequence: 10, Origin: &api.ObjectRef{Kind: "SecurityPolicy", Namespace: "demo", Name: "web"},
			Rules: 2, FirstRule: 1000, TCPStrict: true, Established: api.EstablishedRecheck,
			Hits: api.Hits{Packets: 120, Bytes: 64000, Sessions: 9, LastHit: started.Add(time.Hour), LastHitAge: 3600},
		},
		{Order: 2, Name: "Kubernetes policies begin", Category: api.CategoryApplication, Sequence: 1000000, Marker: true, Established: api.EstablishedRecheck},
	}
}
