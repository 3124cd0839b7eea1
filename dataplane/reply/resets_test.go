package reply

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluice-net/sluice/dataplane"
	"github.com/sluice-net/sluice/flowtable"
	"github.com/sluice-net/sluice/packet"
)

// The stations of the tests of resets. 10.0.0.1 is at the plain port, 10.0.0.2 at the other one, in the same segment;
// 10.0.8.1 is at the trunk, in VLAN 10, behind a router with gateway addresses.
const (
	gateway = "02:50:56:56:44:52"
	fromA   = " eth 0a:58:0a:00:00:01 > " + gateway
	toA     = " eth " + gateway + " > 0a:58:0a:00:00:01"
	fromC   = " eth 0a:58:0a:00:08:01 > " + gateway + " vlan 10"
	toC     = " eth " + gateway + " > 0a:58:0a:00:08:01 vlan 10"
)

// resetting makes a testbed that forwards between the stations, and tells the ends of sessions that end.
func resetting(t testing.TB, ends Ends) (*testbed, *Resets) {
	t.Helper()
	r := NewResets(1)
	var n *testbed
	hops := map[packet.Addr][2]uint32{}
	n = newTestbed(t, func(d *dataplane.Decision) {
		if hop, found := hops[d.Info.Key.Dst]; found && !d.Info.Has(packet.ToMulticast) {
			d.Forward(hop[0], hop[1])
		}
	}, func(n *testbed, s *dataplane.Snapshot) {
		s.Tickers = []dataplane.Ticker{r}
		gw, mac := packet.MAC{2, 0x50, 0x56, 0x56, 0x44, 0x52}, packet.HostMAC
		addr := func(b [4]byte) packet.Addr { return packet.AddrFrom4(&b) }
		a, b, c := addr([4]byte{10, 0, 0, 1}), addr([4]byte{10, 0, 0, 2}), addr([4]byte{10, 0, 8, 1})
		for ip, h := range map[packet.Addr]dataplane.Hop{
			a: {Port: plain, Zone: 7},
			b: {Port: other, Zone: 7},
			c: {Port: trunk, Zone: 8, Flags: dataplane.HopRouted, SrcMAC: gw, DstMAC: mac(c), Tags: dataplane.Tags{Outer: 10}},
		} {
			index, gen, err := n.hops.New(h)
			require.NoError(t, err)
			hops[ip] = [2]uint32{index, gen}
		}
	})
	n.ended = func(s *flowtable.Record) { r.Add(0, s, ends) }
	return n, r
}

// end ends all sessions and lets the resets out.
func (n *testbed) end() {
	n.engine.Worker(0).Flows().EndMatching(0, 1<<20, nil, flowtable.EndPolicy, n.now)
	n.step() // recycles
	n.step() // and sends
}

const (
	ab = "tcp 10.0.0.1:1000 > 10.0.0.2:80 "
	ba = "tcp 10.0.0.2:80 > 10.0.0.1:1000 "
	ac = "tcp 10.0.0.1:1000 > 10.0.8.1:80 "
	ca = "tcp 10.0.8.1:80 > 10.0.0.1:1000 "
)

// handshake is a connection's begin: the ends expect 101 and 501 next.
var handshake = []string{"1 " + ab + "S seq 100", "3 " + ba + "SA seq 500 ack 101", "1 " + ab + "A seq 101 ack 501"}

func TestResets(t *testing.T) {
	for _, row := range []struct {
		why    string
		ends   Ends
		frames []string // "PORT FRAME", that pass
		want   map[int][]string
		stats  ResetStats
	}{
		{
			"an established connection is reset at both ends, with exactly the numbers that they expect", Both, handshake,
			map[int][]string{plain: {ba + "RA seq 501 ack 101 win 0 df"}, other: {ab + "RA seq 101 ack 501 win 0 df"}},
			ResetStats{Sent: 2},
		},
		{
			"data that is under way may have arrived or not: one for each", Both,
			append(handshake[:3:3], "1 "+ab+"PA seq 101 ack 501 len 9", "3 "+ba+"A seq 501 ack 110", "3 "+ba+"PA seq 501 ack 110 len 20"),
			map[int][]string{
				plain: {ba + "RA seq 501 ack 110 win 0 df", ba + "RA seq 521 ack 110 win 0 df"},
				other: {ab + "RA seq 110 ack 521 win 0 df"},
			},
			ResetStats{Sent: 3},
		},
		{
			"a client that waits for an answer takes a reset that acknowledges its SYN; the server is found by the hop", Both, handshake[:1],
			map[int][]string{plain: {ba + "RA seq 0 ack 101 win 0 df"}, other: {ab + "R seq 101 win 0 df"}},
			ResetStats{Sent: 2},
		},
		{
			"of a half-open connection the server alone may be told: who knows whether the client is one", Responder, handshake[:2],
			map[int][]string{other: {ab + "RA seq 101 ack 501 win 0 df"}},
			ResetStats{Sent: 1},
		},
		{
			"a connection that was picked up in the middle, and not answered", Both,
			[]string{"1 " + ab + "PA seq 4000 ack 9000 len 10"},
			map[int][]string{plain: {ba + "RA seq 9000 ack 4010 win 0 df"}, other: {ab + "R seq 4010 win 0 df"}},
			ResetStats{Sent: 2},
		},
		{
			"one that is over needs no reset", Both,
			append(handshake[:3:3], "3 "+ba+"R seq 501"),
			nil,
			ResetStats{},
		},
		{
			"nor does one that both ends have closed", Both,
			append(handshake[:3:3], "1 "+ab+"FA seq 101 ack 501", "3 "+ba+"FA seq 501 ack 102", "1 "+ab+"A seq 102 ack 502"),
			nil,
			ResetStats{},
		},
		{
			"one of which one end has closed does", Both,
			append(handshake[:3:3], "1 "+ab+"FA seq 101 ack 501", "3 "+ba+"A seq 501 ack 102"),
			map[int][]string{plain: {ba + "RA seq 501 ack 102 win 0 df"}, other: {ab + "RA seq 102 ack 501 win 0 df"}},
			ResetStats{Sent: 2},
		},
		{"UDP has no reset", Both, []string{"1 udp 10.0.0.1:9 > 10.0.0.2:53"}, nil, ResetStats{}},
		{
			"through a router each end hears from the router's MAC address, and in its VLAN", Both,
			[]string{"1 " + ac + "S seq 100" + fromA, "2 " + ca + "SA seq 500 ack 101" + fromC},
			map[int][]string{plain: {ca + "RA seq 501 ack 101 win 0 df" + toA}, trunk: {ac + "RA seq 101 ack 501 win 0 df" + toC}},
			ResetStats{Sent: 2},
		},
		{
			"and so does a server that has not answered", Responder,
			[]string{"1 " + ac + "S seq 100" + fromA},
			map[int][]string{trunk: {ac + "R seq 101 win 0 df" + toC}},
			ResetStats{Sent: 1},
		},
	} {
		t.Run(row.why, func(t *testing.T) {
			n, r := resetting(t, row.ends)
			for _, f := range row.frames {
				port := int(f[0] - '0')
				before := n.engine.Ledger().Transmitted
				n.inject(port, strings.TrimSpace(f[1:]))
				require.Equal(t, before+1, n.engine.Ledger().Transmitted, f)
			}
			for port := plain; port <= numPorts; port++ {
				n.sent(port)
			}
			n.end()
			for port := plain; port <= numPorts; port++ {
				require.Equal(t, canonical(t, row.want[port]...), n.sent(port), "port %d", port)
			}
			require.Equal(t, row.stats, r.Stats())
			require.Equal(t, row.stats.Sent, n.engine.Ledger().Generated)
		})
	}
}

// TestResetsCloseTheSession has flowtable judge the numbers: what is sent closes a connection that is tracked
// from the same packets.
func TestResetsCloseTheSession(t *testing.T) {
	sent := map[int][][]byte{}
	{
		n, _ := resetting(t, Both)
		for _, f := range handshake {
			n.inject(int(f[0]-'0'), f[2:])
		}
		n.sent(plain)
		n.sent(other)
		n.end()
		for _, port := range []int{plain, other} {
			for _, f := range n.mem[port].Sent() {
				sent[port] = append(sent[port], f.Data)
			}
		}
	}
	for port, frames := range sent {
		n, _ := resetting(t, 0)
		for _, f := range handshake {
			n.inject(int(f[0]-'0'), f[2:])
		}
		require.Len(t, frames, 1)
		n.mem[plain+other-port].Inject(frames[0]) // from the other end
		n.step()
		closed := 0
		n.table.Sessions(func(r *flowtable.Record) bool {
			require.Equal(t, flowtable.StateTCPClosed, r.State)
			closed++
			return true
		})
		require.Equal(t, 1, closed)
	}
}

func TestResetsOfEndsThatAreGone(t *testing.T) {
	n, r := resetting(t, Both)
	for _, f := range handshake {
		n.inject(int(f[0]-'0'), f[2:])
	}
	n.sent(plain)
	s := *n.engine.Worker(0).Snapshot()
	s.Epoch++
	s.Ports = append([]*dataplane.PortConfig(nil), s.Ports...)
	s.Ports[other] = nil
	require.NoError(t, n.engine.Publish(&s))
	n.end()
	require.Equal(t, canonical(t, ba+"RA seq 501 ack 101 win 0 df"), n.sent(plain), "the one that is there is told")
	require.Equal(t, ResetStats{Sent: 1, Unreachable: 1}, r.Stats())
}

func TestResetsAreBounded(t *testing.T) {
	n, r := resetting(t, Both)
	const sessions = resetsPerTick + 100
	for i := range sessions {
		n.inject(plain, strings.Replace(ab, "1000", "1"+string(rune('0'+i/100))+string(rune('0'+i/10%10))+string(rune('0'+i%10)), 1)+"S seq 100")
	}
	n.sent(other)
	n.end()
	require.LessOrEqual(t, r.Stats().Sent, uint64(2*resetsPerTick), "a turn sends no more than so many sessions'")
	for range 3 {
		n.step()
	}
	require.Equal(t, ResetStats{Sent: 2 * sessions}, r.Stats(), "and the rest follows")
	require.Len(t, n.sent(plain), sessions)

	var record flowtable.Record
	record.Keys[flowtable.Original] = packet.Key{Tail: packet.MakeTail(7, packet.ProtoTCP, 1, 2)}
	record.State = flowtable.StateTCPEstablished
	for range resetsQueued + 5 {
		r.Add(0, &record, Both)
	}
	require.Equal(t, uint64(5), r.Stats().Lost, "what finds no room is counted")
	for range resetsQueued / resetsPerTick {
		n.step()
	}
	require.Equal(t, uint64(2*resetsQueued), r.Stats().Unreachable, "a session without a link leads nowhere")
}

func TestNoAllocationsResetting(t *testing.T) {
	n, r := resetting(t, Both)
	for _, f := range handshake {
		n.inject(int(f[0]-'0'), f[2:])
	}
	var record flowtable.Record
	n.table.Sessions(func(s *flowtable.Record) bool { record = *s; return true })
	w := n.engine.Worker(0)
	n.mem[plain].SetUp(false) // so that they keep nothing
	n.mem[other].SetUp(false)
	require.Zero(t, testing.AllocsPerRun(100, func() {
		r.Add(0, &record, Both)
		r.Tick(w, n.now)
		n.step()
	}))
	require.NotZero(t, r.Stats().Sent)
}
