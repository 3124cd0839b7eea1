package conformance

import (
	"encoding/binary"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-net/sluice/control"
	"github.com/sluice-net/sluice/dataplane"
	"github.com/sluice-net/sluice/internal/frametext"
	"github.com/sluice-net/sluice/internal/netpoltest"
	"github.com/sluice-net/sluice/node"
	"github.com/sluice-net/sluice/packet"
	"github.com/sluice-net/sluice/port/mem"
)

// bench is a node with the cluster's pods at memory ports, and the world behind an uplink.
//
//	 x/a x/b x/c      y/a y/b y/c      z/a z/b z/c
//	10.0.1.0/24      10.0.2.0/24      10.0.3.0/24      fd00:0:0:1::/64 …
//	     └────────────────┼────────────────┘
//	                   default ── uplink ── 192.0.2.0/24, 2001:db8::/64
//	                                  └── gateway .254, ::fe ── everything else
type bench struct {
	t        testing.TB
	node     *node.Node
	compiler *control.Compiler
	model    *control.Model
	fixed    []*control.Object // all but policies
	cluster  *netpoltest.Cluster

	devices map[string]*mem.Port
	numbers map[string]uint16
	ports   []string // sorted
	probes  []probe  // of all connections that can be tried
	now     int64    // ns
}

const network = `
apiVersion: v1
kind: List
items:
- {apiVersion: sluice.dev/v1, kind: Port, metadata: {name: uplink}, spec: {}}
- {apiVersion: sluice.dev/v1, kind: Router, metadata: {name: default}, spec: {uplinks: [{port: uplink, addresses: [192.0.2.1/24, '2001:db8::1/64'], gateways: [192.0.2.254, '2001:db8::fe']}]}}
`

const (
	gatewayMAC = "02:50:56:56:44:52"
	nextHop    = "0a:58:c0:00:02:fe" // of what is beyond the uplink's network
	uplinkMAC  = "0a:58:c0:00:02:01"
)

// newBench makes a node; debug has it check who owns each buffer, which takes time.
func newBench(t testing.TB, debug bool) *bench {
	b := &bench{
		t: t, compiler: control.NewCompiler(), cluster: netpoltest.NewCluster(),
		devices: map[string]*mem.Port{}, numbers: map[string]uint16{}, now: int64(time.Hour),
	}
	manifest, err := b.cluster.Manifest()
	require.NoError(t, err)
	b.fixed = append(decode(t, networkOf(b.cluster)), decode(t, manifest)...)
	b.model = b.compile(nil)
	b.node, err = node.New(node.Options{
		Workers: 1, Seed: 1, Buffers: 4096, Supers: 4, Virtual: true, Debug: debug,
		Open: func(_ *packet.Arena, p *control.Port) (dataplane.Port, error) {
			b.devices[p.Name] = mem.New(mem.Config{})
			b.numbers[p.Name] = p.Number
			return b.devices[p.Name], nil
		},
	}, b.model)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, b.node.Close()) })
	b.ports = slices.Sorted(maps.Keys(b.devices))
	for i, x := range b.cluster.Connections() {
		b.probes = append(b.probes, newProbe(t, i, x))
	}
	b.introduce()
	return b
}

// networkOf are the objects of the network that a cluster is in.
func networkOf(c *netpoltest.Cluster) []byte {
	text := network
	for _, n := range c.Namespaces {
		s := netpoltest.Subnets(n.Name)
		text += fmt.Sprintf("- {apiVersion: sluice.dev/v1, kind: Segment, metadata: {name: %s}, spec: {subnets: [{cidr: %s}, {cidr: '%s'}]}}\n", n.Name, s[0], s[1])
	}
	return []byte(text)
}

func decode(t testing.TB, data []byte) []*control.Object {
	objects, faults := control.Decode("conformance.yaml", data, control.Options{})
	require.NoError(t, faults.Err(), "%s", data)
	return objects
}

func (b *bench) compile(policies []*control.Object) *control.Model {
	in := control.Input{Objects: append(policies[:len(policies):len(policies)], b.fixed...), Revision: 1}
	if b.model != nil {
		in.Previous, in.Revision = &b.model.Allocations, b.model.Revision+1
	}
	m, faults := b.compiler.Compile(in)
	require.NoError(b.t, faults.Err())
	return m
}

// apply puts policies in force, and lets the sessions of before end.
func (b *bench) apply(policies []*control.Object) {
	b.model = b.compile(policies)
	require.NoError(b.t, b.node.Apply(b.model))
	const longerThanSessions = 10 * time.Minute // none here gets beyond its opening
	b.now += int64(longerThanSessions)
	b.greet()
	flows := b.node.Engine().Worker(0).Flows()
	flows.SweepAll(b.now)
	for range 2 {
		flows.Quiesce(b.now)
	}
}

// greet has those outside ask for the router, so that it knows them: it would forget whom
// policies keep everybody from, and few packets may wait while it asks.
func (b *bench) greet() {
	for _, a := range []struct{ v4, v6 string }{{"192.0.2.100", "2001:db8::64"}, {"192.0.2.254", "2001:db8::fe"}} {
		b.devices["uplink"].Inject(
			parse(b.t, "arp "+a.v4+" who-has 192.0.2.1 eth "+macOf(a.v4)+" > "+uplinkMAC),
			parse(b.t, "icmp6 "+a.v6+" > 2001:db8::1 ns target 2001:db8::1 lladdr "+macOf(a.v6)+" eth "+macOf(a.v6)+" > "+uplinkMAC),
		)
	}
	b.turn()
	for _, f := range b.devices["uplink"].Sent() {
		b.answer(f.Data)
	}
	b.turn()
}

// turn lets the worker run until all frames have been taken, and answers the router's questions about
// who has an address outside.
func (b *bench) turn() {
	for waiting := true; waiting; {
		waiting = false
		for _, name := range b.ports {
			b.node.Engine().Worker(0).StepPort(b.numbers[name], b.now)
			waiting = waiting || b.devices[name].Waiting() > 0
		}
	}
}

// neighborQuestion matches what the router asks at the uplink.
var neighborQuestion = regexp.MustCompile(`^(?:arp (\S+) who-has (\S+)|icmp6 (\S+) > \S+ ns target (\S+))(?: |$)`)

// answer answers if a frame is a question.
func (b *bench) answer(frame []byte) (asked bool) {
	const neighborSolicitation = 135 // RFC 4861 section 4.3
	switch binary.BigEndian.Uint16(frame[12:]) {
	case packet.EtherTypeARP:
	case packet.EtherTypeIPv6:
		if frame[14+6] != packet.ProtoICMPv6 || frame[14+40] != neighborSolicitation {
			return false
		}
	default:
		return false
	}
	m := neighborQuestion.FindStringSubmatch(frametext.Format(frame))
	if m == nil {
		return false
	}
	asker, asked4, asked6 := m[1]+m[3], m[2], m[4]
	mac := macOf(asked4 + asked6)
	text := "arp " + asked4 + " is-at " + mac + " to " + asker
	if asked6 != "" {
		text = "icmp6 " + asked6 + " > " + asker + " na target " + asked6 + " lladdr " + mac + " solicited override"
	}
	text += " eth " + mac + " > " + uplinkMAC
	b.devices["uplink"].Inject(parse(b.t, text))
	return true
}

// macOf is the address of whoever outside has it or is the way to it.
func macOf(ip string) string {
	switch ip {
	case "192.0.2.100", "2001:db8::64":
		return "0a:58:c0:00:02:64"
	}
	return nextHop
}

// introduce has the router learn who is outside, so that no packet has to wait later.
func (b *bench) introduce() {
	var first []*probe
	for i := range b.probes {
		if p := &b.probes[i]; p.to == "uplink" && p.from == "x/a" && p.Protocol == netpoltest.ICMP { // one to each
			first = append(first, p)
		}
	}
	arrived, _ := b.try(first)
	for _, p := range first {
		require.True(b.t, arrived[p.index], "%s: the way out does not work", &p.Connection)
	}
}

// probe is a connection and the first packet of it.
type probe struct {
	netpoltest.Connection
	index    int
	from, to string // ports
	frame    []byte
	reply    []byte // that the receiver would answer with
}

// firstID is the source port of the first probe, or its identifier: what tells them from each other.
const firstID = 10000

func newProbe(t testing.TB, i int, x netpoltest.Connection) probe {
	p := probe{Connection: x, index: i, from: portOf(x.From), to: portOf(x.To)}
	id := firstID + i
	macs := func(from, to netpoltest.End) string {
		src, dst := macAt(from), gatewayMAC
		switch {
		case from.Pod == nil:
			dst = uplinkMAC
		case to.Pod != nil && from.Pod.Namespace == to.Pod.Namespace:
			dst = macAt(to)
		}
		return " eth " + src + " > " + dst
	}
	at := func(e netpoltest.End, port int) string {
		if e.Address.Is6() {
			return fmt.Sprintf("[%s]:%d", e.Address, port)
		}
		return fmt.Sprintf("%s:%d", e.Address, port)
	}
	there, back := at(x.From, id)+" > "+at(x.To, int(x.Port)), at(x.To, int(x.Port))+" > "+at(x.From, id)
	var first, answer string
	switch x.Protocol {
	case "TCP":
		first, answer = "tcp "+there+" S seq 1000", "tcp "+back+" SA seq 5000 ack 1001"
	case "UDP":
		first, answer = "udp "+there, "udp "+back
	case "SCTP":
		first, answer = "sctp "+there+" init itag 7", "sctp "+back+" init-ack tag 7 itag 9"
	case netpoltest.ICMP:
		kind := "icmp"
		if x.From.Address.Is6() {
			kind = "icmp6"
		}
		first = fmt.Sprintf("%s %s > %s echo id %d", kind, x.From.Address, x.To.Address, id)
		answer = fmt.Sprintf("%s %s > %s reply id %d", kind, x.To.Address, x.From.Address, id)
	}
	p.frame = parse(t, first+macs(x.From, x.To))
	p.reply = parse(t, answer+macs(x.To, x.From))
	return p
}

func portOf(e netpoltest.End) string {
	if e.Pod == nil {
		return "uplink"
	}
	return e.String()
}

// macAt is a pod's address, or of who stands for an address outside.
func macAt(e netpoltest.End) string {
	if e.Pod == nil {
		return macOf(e.Address.String())
	}
	b := netpoltest.AddressOf(e.Pod, false).As4()
	return fmt.Sprintf("0a:58:%02x:%02x:%02x:%02x", b[0], b[1], b[2], b[3])
}

func parse(t testing.TB, text string) []byte {
	f, err := frametext.Parse(text)
	require.NoError(t, err, text)
	return f
}

// idOf returns the index of the probe that a frame is of: of its first packet, or of the answer to it.
func idOf(frame []byte, answer bool) int {
	l4, proto := 14+20, frame[14+9]
	if binary.BigEndian.Uint16(frame[12:]) == packet.EtherTypeIPv6 {
		l4, proto = 14+40, frame[14+6]
	}
	at := l4
	switch {
	case proto == packet.ProtoICMP || proto == packet.ProtoICMPv6:
		at += 4
	case answer:
		at += 2
	}
	return int(binary.BigEndian.Uint16(frame[at:])) - firstID
}

// try sends the first packet of each probe and returns whose arrived where they should; then the same of answers to
// those. Whatever arrives elsewhere, or twice, is a failure.
func (b *bench) try(list []*probe) (arrived, answered map[int]bool) {
	arrived = b.send(list, func(p *probe) (from, to string, frame []byte) { return p.from, p.to, p.frame }, false)
	var replies []*probe
	for _, p := range list {
		if arrived[p.index] {
			replies = append(replies, p)
		}
	}
	return arrived, b.send(replies, func(p *probe) (from, to string, frame []byte) { return p.to, p.from, p.reply }, true)
}

func (b *bench) send(list []*probe, of func(*probe) (from, to string, frame []byte), answer bool) (arrived map[int]bool) {
	arrived = map[int]bool{}
	const atOnce = 512 // frames need buffers
	for len(list) > 0 {
		n := min(len(list), atOnce)
		for _, p := range list[:n] {
			from, _, frame := of(p)
			require.Equal(b.t, 1, b.devices[from].Inject(frame))
		}
		list = list[n:]
		for asked := true; asked; {
			asked = false
			b.turn()
			for _, name := range b.ports {
				for _, f := range b.devices[name].Sent() {
					if name == "uplink" && b.answer(f.Data) {
						asked = true
						continue
					}
					i := idOf(f.Data, answer)
					require.True(b.t, 0 <= i && i < len(b.probes), "port %s sends what nobody asked for: %s", name, frametext.Format(f.Data))
					p := &b.probes[i]
					_, to, _ := of(p)
					require.Equal(b.t, to, name, "%s: arrives elsewhere", &p.Connection)
					require.False(b.t, arrived[i], "%s: arrives twice", &p.Connection)
					arrived[i] = true
				}
			}
		}
	}
	return arrived
}

// denied returns how many packets were dropped by rules so far, and fails if the books do not balance.
func (b *bench) denied() (n uint64) {
	l := b.node.Engine().Ledger()
	require.Zero(b.t, l.Unexplained, "the books do not balance: %+v", l)
	for _, number := range b.numbers {
		n += b.node.Engine().PortCounters(number).Drops[packet.PolicyDenied]
	}
	return n
}

// short is how connections are written in rows: "tcp y/b > x/a:80", "icmp6 x/a > 198.51.100.7".
func short(x *netpoltest.Connection) string {
	s := strings.ToLower(string(x.Protocol))
	if x.From.Address.Is6() {
		s += "6"
	}
	s += " " + x.From.String() + " > " + x.To.String()
	if x.Protocol != netpoltest.ICMP {
		s += fmt.Sprintf(":%d", x.Port)
	}
	return s
}
