package node_test

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-net/sluice/control"
	"github.com/sluice-net/sluice/internal/frametext"
	"github.com/sluice-net/sluice/lb/member"
	"github.com/sluice-net/sluice/node"
	"github.com/sluice-net/sluice/packet"
	"github.com/sluice-net/sluice/port/mem"
)

// servers is a node that is driven by hand: clients at port c, members of virtual servers at port m, both on
// one segment, and an uplink.
type servers struct {
	t       testing.TB
	node    *node.Node
	model   *control.Model
	devices *memDevices
	now     int64
}

// serversSite is what all of its configurations have: workload addresses 10.244.1.x are clients, 10.244.2.x members.
const serversSite = `apiVersion: sluice.dev/v1
kind: Segment
metadata: {name: s}
spec: {subnets: [{cidr: 10.244.0.0/16}]}
---
{apiVersion: sluice.dev/v1, kind: Port, metadata: {name: c, labels: {is: client}}, spec: {segment: s, guard: false, addresses: [{ip: 10.244.1.1}, {ip: 10.244.1.2}, {ip: 10.244.1.3}]}}
---
{apiVersion: sluice.dev/v1, kind: Port, metadata: {name: m, labels: {is: member}}, spec: {segment: s, guard: false, addresses: [MEMBERS]}}
---
{apiVersion: sluice.dev/v1, kind: Port, metadata: {name: uplink}}
---
{apiVersion: sluice.dev/v1, kind: Router, metadata: {name: default}, spec: {uplinks: [{port: uplink, addresses: [192.0.2.1/24], gateway: 192.0.2.254}]}}
---
{apiVersion: sluice.dev/v1, kind: Monitor, metadata: {name: probe}, spec: {type: TCP}}
`

// serverMembers is how many addresses members can have.
const serverMembers = 8

func serverMember(i int) string { return fmt.Sprintf("10.244.2.%d", 1+i) }

func newServers(t testing.TB, workers int, more string) *servers {
	x := &servers{t: t, devices: &memDevices{byName: map[string]*mem.Port{}}, now: int64(time.Hour)}
	x.model = x.compile(more)
	var err error
	x.node, err = node.New(node.Options{Workers: workers, Open: x.devices.open, Seed: 1, Buffers: 2048, Supers: 4, Virtual: true, Debug: true}, x.model)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, x.node.Close()) })
	return x
}

func (x *servers) compile(more string) *control.Model {
	var members []string
	for i := range serverMembers {
		members = append(members, fmt.Sprintf("{ip: %s}", serverMember(i)))
	}
	text := strings.Replace(serversSite, "MEMBERS", strings.Join(members, ", "), 1) + more
	objects, faults := control.Decode("servers.yaml", []byte(text), control.Options{})
	require.Empty(x.t, faults)
	in := control.Input{Objects: objects, Revision: 1}
	if x.model != nil {
		in.Previous, in.Revision = &x.model.Allocations, x.model.Revision+1
	}
	m, faults := control.Compile(in)
	require.Empty(x.t, faults, text)
	return m
}

func (x *servers) apply(more string) {
	x.model = x.compile(more)
	require.NoError(x.t, x.node.Apply(x.model))
	x.turn(1)
}

// turn lets all ports take their turns, in order, and sessions end whose time is over.
func (x *servers) turn(turns int) {
	engine := x.node.Engine()
	for range turns {
		for i := range x.model.Ports {
			for w := range engine.Workers() {
				engine.Worker(w).StepPort(x.model.Ports[i].Number, x.now)
			}
		}
		engine.Worker(0).Flows().SweepAll(x.now)
		for range 4 {
			for w := range engine.Workers() {
				engine.Worker(w).Flows().Quiesce(x.now)
			}
		}
	}
}

// send has a frame come in by a port and returns what went out, by port.
func (x *servers) send(port, line string) map[string][]packet.Info {
	x.inject(port, line)
	x.turn(1)
	return x.sent()
}

func (x *servers) inject(port, line string) {
	f, err := frametext.Parse(line)
	require.NoError(x.t, err, line)
	x.devices.byName[port].Inject(f)
}

func (x *servers) sent() map[string][]packet.Info {
	out := map[string][]packet.Info{}
	for name, d := range x.devices.byName {
		for _, f := range d.Sent() {
			var in packet.Info
			packet.Parse(f.Data, &in)
			out[name] = append(out[name], in)
		}
	}
	return out
}

// memberID is the number of the member of a pool at an address; 0 if there is none.
func (x *servers) memberID(pool, address string) uint32 {
	for _, p := range x.model.Services.Pools {
		if p.Origin.Name != pool {
			continue
		}
		for _, m := range p.Members {
			if m.Address.Netip().String() == address {
				return m.ID
			}
		}
	}
	return 0
}

const (
	gatewayText = "02:50:56:56:44:52"
	clientText  = "0a:58:0a:f4:01:01"
	clientIP    = "10.244.1.1"
)

// want is a configuration of virtual servers, as a test wants it and remembers it.
type want struct {
	servers []wantServer
}

// wantServer is a virtual server and its pool: tcp ones are even, udp ones odd.
type wantServer struct {
	here      bool
	algorithm string
	affinity  bool
	members   [serverMembers]wantMember
}

type wantMember struct {
	here   bool
	admin  string
	weight int
	down   bool
}

func (s *wantServer) serves(i int) bool { return s.members[i].here && !s.members[i].down }

// takes reports whether new connections of a client may come to a member.
func (s *wantServer) takes(i int) bool {
	m := &s.members[i]
	return s.here && s.serves(i) && (m.admin == "ENABLED" || m.admin == "GRACEFUL_DISABLED" && s.affinity)
}

// must reports whether new connections of any client find a member.
func (s *wantServer) must() bool {
	for i := range s.members {
		if s.here && s.serves(i) && s.members[i].admin == "ENABLED" {
			return true
		}
	}
	return false
}

func vipOf(i int) string { return fmt.Sprintf("172.30.0.%d", 1+i) }

func protocolOf(i int) string { return [2]string{"tcp", "udp"}[i%2] }

func (w *want) text() string {
	var b strings.Builder
	for i := range w.servers {
		s := &w.servers[i]
		if s.here {
			more := ""
			if s.affinity {
				more = ", persistence: {type: SOURCE_IP}"
			}
			fmt.Fprintf(&b, "---\n{apiVersion: sluice.dev/v1, kind: VirtualServer, metadata: {name: vs%d}, spec: {addresses: [%s], protocol: %s, ports: ['80'], pool: p%d%s}}\n",
				i, vipOf(i), strings.ToUpper(protocolOf(i)), i, more)
		}
		fmt.Fprintf(&b, "---\n{apiVersion: sluice.dev/v1, kind: Pool, metadata: {name: p%d}, spec: {algorithm: %s, activeMonitors: [probe], members: [", i, s.algorithm)
		sep := ""
		for j, m := range s.members {
			if m.here {
				fmt.Fprintf(&b, "%s{address: %s, port: 8080, weight: %d, adminState: %s}", sep, serverMember(j), m.weight, m.admin)
				sep = ", "
			}
		}
		b.WriteString("]}}\n")
	}
	return b.String()
}

// connection is a session of a virtual server, as its client sees it.
type connection struct {
	server, member int
	port           int // of the client
	established    bool
	orphan         bool // its member or server has gone, so its packets may end anywhere but elsewhere
	ended          bool
}

func (c *connection) String() string {
	return fmt.Sprintf("%s:%d with %s, member %s, established %t", clientIP, c.port, vipOf(c.server), serverMember(c.member), c.established)
}

var allAlgorithms = []string{
	"ROUND_ROBIN", "WEIGHTED_ROUND_ROBIN", "LEAST_CONNECTION", "WEIGHTED_LEAST_CONNECTION", "IP_HASH", "TUPLE_HASH", "MAGLEV",
}

// No session ever changes member while that lives: whatever is changed, each packet of a session goes to the member that its
// first one went to, as long as that is in the pool, up, and not disabled. Nothing goes to one that is
// none of these, but of TCP connections that are established, and answers come from who was asked.
func TestSessionsKeepTheirMembers(t *testing.T) {
	steps := 3000
	if testing.Short() {
		steps = 600
	}
	for seed := range uint64(3) {
		t.Run(fmt.Sprintf("seed=%d", seed), func(t *testing.T) {
			r := rand.New(rand.NewPCG(seed, 1))
			p := newProperty(t, r, 1+int(seed)%2)
			for range steps {
				p.step()
			}
			p.finish()
			t.Logf("%v", p.seen)
			for _, what := range []string{"begun", "refused", "kept", "moved", "answered", "changed", "reported", "gone"} {
				require.Positive(t, p.seen[what], what)
			}
		})
	}
}

// property is a run of random changes and packets.
type property struct {
	*servers
	r        *rand.Rand
	want     want
	sessions map[int]*connection // by the client's port
	port     int
	seen     map[string]int
}

func newProperty(t *testing.T, r *rand.Rand, workers int) *property {
	p := &property{r: r, sessions: map[int]*connection{}, port: 1024, seen: map[string]int{}}
	p.want.servers = make([]wantServer, 4)
	for i := range p.want.servers {
		s := &p.want.servers[i]
		s.here, s.algorithm, s.affinity = true, allAlgorithms[r.IntN(len(allAlgorithms))], r.IntN(3) == 0
		for j := range s.members {
			s.members[j] = wantMember{here: r.IntN(2) == 0, admin: "ENABLED", weight: 1 + r.IntN(4)}
		}
	}
	p.servers = newServers(t, workers, p.want.text())
	return p
}

func (p *property) step() {
	p.now += int64(time.Millisecond)
	switch n := p.r.IntN(100); {
	case n < 35:
		p.begin()
	case n < 85:
		p.goOn()
	case n < 93:
		p.change()
	default:
		p.report()
	}
}

func (p *property) line(c *connection, rest string) string {
	return fmt.Sprintf("%s %s:%d > %s:80 %s eth %s > %s", protocolOf(c.server), clientIP, c.port, vipOf(c.server), rest, clientText, gatewayText)
}

// first sends a packet that begins a session, and returns the member that it came to, or -1.
func (p *property) first(c *connection) int {
	rest := ""
	if protocolOf(c.server) == "tcp" {
		rest = "S seq 100"
	}
	out := p.send("c", p.line(c, rest))
	s := &p.want.servers[c.server]
	if len(out["m"]) == 0 {
		require.False(p.t, s.must(), "%v found no member of %+v", c, s)
		return -1
	}
	require.Len(p.t, out["m"], 1)
	i := p.memberAt(&out["m"][0])
	require.True(p.t, s.takes(i), "%v came to %s of %+v", c, serverMember(i), s)
	return i
}

// memberAt is the member that a frame went to.
func (p *property) memberAt(in *packet.Info) int {
	require.EqualValues(p.t, 8080, in.Key.DstPort())
	require.Equal(p.t, clientIP, in.Key.Src.Netip().String(), "members see the client")
	a := in.Key.Dst.Netip().As4()
	return int(a[3]) - 1
}

func (p *property) begin() {
	p.port++
	c := &connection{server: p.r.IntN(len(p.want.servers)), port: p.port}
	if c.member = p.first(c); c.member < 0 {
		p.seen["refused"]++
		return
	}
	p.seen["begun"]++
	p.sessions[c.port] = c
	if protocolOf(c.server) == "udp" || p.r.IntN(4) != 0 {
		p.answer(c, "SA seq 500 ack 101")
		c.established = protocolOf(c.server) == "tcp"
		if c.established {
			out := p.send("c", p.line(c, "A seq 101 ack 501"))
			require.Len(p.t, out["m"], 1, "%v", c)
			require.Equal(p.t, c.member, p.memberAt(&out["m"][0]))
		}
	}
}

// answer has the member answer, which the client has to see as from the virtual server.
func (p *property) answer(c *connection, flags string) {
	if protocolOf(c.server) == "udp" {
		flags = ""
	}
	m := serverMember(c.member)
	hardware := packet.HostMAC(packet.AddrFrom(netip.MustParseAddr(m)))
	out := p.send("m", fmt.Sprintf("%s %s:8080 > %s:%d %s eth %s > %s", protocolOf(c.server), m, clientIP, c.port, flags, hardware, clientText))
	require.Len(p.t, out["c"], 1, "%v", c)
	k := &out["c"][0].Key
	require.Equal(p.t, vipOf(c.server)+":80", netip.AddrPortFrom(k.Src.Netip(), k.SrcPort()).String(), "%v is answered by who was asked", c)
	require.EqualValues(p.t, c.port, k.DstPort())
	p.seen["answered"]++
}

// any returns a session at random; nil if there is none.
func (p *property) any() *connection {
	if len(p.sessions) == 0 {
		return nil
	}
	ports := slices.Sorted(maps.Keys(p.sessions))
	return p.sessions[ports[p.r.IntN(len(ports))]]
}

// goOn sends a packet of a session and looks where it goes.
func (p *property) goOn() {
	c := p.any()
	switch {
	case c == nil:
	case c.ended && protocolOf(c.server) == "udp":
		before := c.member
		if c.member = p.first(c); c.member < 0 {
			delete(p.sessions, c.port)
			return
		}
		c.ended, c.orphan = false, false
		if c.member != before {
			p.seen["moved"]++
		}
	case c.ended:
		delete(p.sessions, c.port)
	case protocolOf(c.server) == "tcp" && !c.established:
		out := p.send("c", p.line(c, "S seq 100"))
		require.Len(p.t, out["m"], 1, "%v", c)
		require.Equal(p.t, c.member, p.memberAt(&out["m"][0]), "%v", c)
		p.seen["kept"]++
	default:
		out := p.send("c", p.line(c, map[string]string{"udp": "", "tcp": "A seq 101 ack 501"}[protocolOf(c.server)]))
		require.Len(p.t, out["m"], 1, "%v", c)
		require.Equal(p.t, c.member, p.memberAt(&out["m"][0]), "%v", c)
		p.seen["kept"]++
		if p.r.IntN(2) == 0 {
			p.answer(c, "A seq 501 ack 101")
		}
	}
}

// change puts another configuration in force.
func (p *property) change() {
	i := p.r.IntN(len(p.want.servers))
	s := &p.want.servers[i]
	j := p.r.IntN(serverMembers)
	m := &s.members[j]
	came := false
	switch p.r.IntN(7) {
	case 0:
		s.here = !s.here
	case 1:
		s.algorithm = allAlgorithms[p.r.IntN(len(allAlgorithms))]
	case 2:
		m.weight = 1 + p.r.IntN(8)
	case 3:
		s.affinity = !s.affinity
	case 4, 5:
		m.here, m.admin = !m.here, "ENABLED"
		came = m.here
	default:
		m.admin = []string{"ENABLED", "GRACEFUL_DISABLED", "DISABLED"}[p.r.IntN(3)]
	}
	p.apply(p.want.text())
	p.turn(2)
	p.seen["changed"]++
	p.settle()
	if came { // it may be one that was there before
		m.down = false
		p.node.Services().Report(p.memberID(fmt.Sprintf("p%d", i), serverMember(j)), member.Up, p.now)
	}
}

// report says of a member that it is up or down.
func (p *property) report() {
	i, j := p.r.IntN(len(p.want.servers)), p.r.IntN(serverMembers)
	m := &p.want.servers[i].members[j]
	if !m.here {
		return
	}
	m.down = p.r.IntN(2) == 0
	health := member.Up
	if m.down {
		health = member.Down
	}
	p.node.Services().Report(p.memberID(fmt.Sprintf("p%d", i), serverMember(j)), health, p.now)
	p.turn(3)
	p.seen["reported"]++
	p.settle()
}

// settle says what has become of sessions by a change: those of members that are gone or down end unless they are
// established, and those of disabled members in any case. Both ends of a TCP connection are told.
func (p *property) settle() {
	resets := map[int]int{}
	for _, list := range p.sent() {
		for i := range list {
			in := &list[i]
			if in.Proto == packet.ProtoTCP && in.TCPFlags&packet.TCPRst != 0 {
				port := int(in.Key.SrcPort())
				if in.Key.Dst.Netip().String() == clientIP {
					port = int(in.Key.DstPort())
				}
				resets[port]++
			}
		}
	}
	for _, c := range p.sessions {
		s := &p.want.servers[c.server]
		m := &s.members[c.member]
		switch {
		case c.ended:
			continue
		case !s.here || !m.here || c.orphan:
			if c.established {
				c.orphan = true
				if resets[c.port] > 0 { // the member that it had is disabled by now
					require.Equal(p.t, "DISABLED", m.admin, "%v", c)
					c.ended = true
				}
				continue
			}
			c.ended = true
		case m.admin == "DISABLED":
			c.ended = true
			if c.established {
				require.Equal(p.t, 2, resets[c.port], "%v: both ends are told", c)
			}
		case m.down && !c.established:
			c.ended = true
		default:
			require.Zero(p.t, resets[c.port], "%v", c)
		}
		if c.ended {
			p.seen["gone"]++
		}
	}
}

// finish ends all sessions, after which nothing is in use any more and the books balance.
func (p *property) finish() {
	for range 30 {
		p.now += int64(time.Hour)
		p.turn(2)
		p.sent()
	}
	requireNothingInUse(p.servers)
}

// requireNothingInUse holds that everything that sessions had is given back, and that the books balance.
func requireNothingInUse(x *servers) {
	t := x.t
	require.Zero(t, x.node.Engine().Table().Stats().Live)
	state := x.node.Services()
	for _, p := range x.model.Services.Pools {
		for _, m := range p.Members {
			if at := state.Member(m.ID); at != nil {
				require.Zero(t, at.Active(), "member %s of %s", m.Address.Netip(), p.Name)
			}
		}
	}
	for _, s := range x.model.Services.Servers {
		require.Zero(t, state.Server(s.ID).Active, s.Name)
	}
	for _, p := range state.Sources() {
		require.Zero(t, p.Sessions, p.Pool.Name)
		require.Zero(t, p.Mappings, p.Pool.Name)
		for _, proto := range p.Protocols {
			require.Zero(t, proto.InUse, "%s of %s", proto.Protocol, p.Pool.Name)
		}
	}
	l := x.node.Engine().Ledger()
	require.Zero(t, l.Unexplained, "%+v", l)
	require.Zero(t, l.Queued, "%+v", l)
	crashes, n := x.node.Engine().Crashes()
	require.Zero(t, n, "%+v", crashes)
	require.Empty(t, x.node.Arena().Leaks())
}
