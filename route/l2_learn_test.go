package route

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-net/sluice/packet"
)

// hello is a frame from host 10.0.0.N by a port, which the other two ports of
// learningSegment receive.
const (
	hello1by1 = "1 udp 10.0.0.1:1 > 255.255.255.255:2"
	hello1by2 = "2 udp 10.0.0.1:1 > 255.255.255.255:2"
	hello1by3 = "3 udp 10.0.0.1:1 > 255.255.255.255:2"
	to1by3    = "3 udp 10.0.0.3:1 > 10.0.0.1:2"
)

func TestMoves(t *testing.T) {
	c := learningSegment()
	c.Segments[0].Learning.MoveLimit = 2
	c.Segments[0].Learning.MoveWindowNs = int64(10 * time.Second)
	n := newTestbed(t, c)
	at := func(port string) []string { return []string{port + " udp 10.0.0.3:1 > 10.0.0.1:2"} }
	n.run([]step{
		{why: "the address is at 1", in: hello1by1, want: []string{hello1by2, hello1by3}},
		{why: "frames go there", in: to1by3, want: at("1")},
		{why: "it moves to 2", in: hello1by2, want: []string{hello1by1, hello1by3}},
		{why: "an established flow follows it at once", in: to1by3, want: at("2")},
		{why: "it moves back: the second move within the window", in: hello1by1, want: []string{hello1by2, hello1by3}},
		{why: "frames follow", in: to1by3, want: at("1")},
		{why: "the third is one too many: the frame is refused", in: hello1by2, drop: packet.MACConflict},
		{why: "the address stays where it was first", in: to1by3, want: at("1")},
		{why: "there it may send", in: hello1by1, want: []string{hello1by2, hello1by3}},
		{why: "refusals keep it held", after: 9 * time.Second, in: hello1by2, drop: packet.MACConflict},
		{why: "for a whole window after the last", after: 9 * time.Second, in: hello1by2, drop: packet.MACConflict},
		{why: "until it was calm for as long", after: 10 * time.Second, in: hello1by2, want: []string{hello1by1, hello1by3}},
		{why: "then it moves", in: to1by3, want: at("2")},
	})
	stats := n.state.MACStats()
	require.Equal(t, MACStats{Addresses: 2, Learned: 2, Moved: 3, Held: 1, Blocked: 3}, stats)
}

func TestLoopIsBroken(t *testing.T) {
	// Ports 2 and 3 are joined outside: what leaves by one comes back by the other.
	n := newTestbed(t, learningSegment())
	_, frame := portAndFrame(t, hello1by1)
	n.ports[1].Inject(frame)
	turns := 0
	for ; turns < 1000; turns++ {
		n.step()
		out2, out3 := n.ports[2].Sent(), n.ports[3].Sent()
		if len(out2)+len(out3) == 0 {
			break
		}
		for _, f := range out2 {
			n.ports[3].Inject(f.Data)
		}
		for _, f := range out3 {
			n.ports[2].Inject(f.Data)
		}
		n.now += int64(time.Millisecond)
	}
	require.Less(t, turns, 20, "a broadcast in a loop ends soon")
	require.NotZero(t, n.drops()[packet.MACConflict])
	at, found := n.fwd.hopOf(n.fwd.segmentOf(1), packet.MAC{0x0a, 0x58, 10, 0, 0, 1})
	require.True(t, found)
	require.EqualValues(t, 1, at.port, "the address is back where it was first")
	n.sent()
}

func TestLimit(t *testing.T) {
	flooded := func(host string) []string {
		return []string{"2 udp " + host + ":1 > 255.255.255.255:2", "3 udp " + host + ":1 > 255.255.255.255:2"}
	}
	for _, row := range []struct {
		why  string
		drop bool
		step step
	}{
		{
			why:  "ALLOW forwards and does not learn",
			step: step{in: "1 udp 10.0.0.3:1 > 255.255.255.255:2", want: flooded("10.0.0.3")},
		},
		{
			why: "DROP drops", drop: true,
			step: step{in: "1 udp 10.0.0.3:1 > 255.255.255.255:2", drop: packet.MACLimit},
		},
	} {
		t.Run(row.why, func(t *testing.T) {
			c := learningSegment()
			c.Segments[0].Learning.Limit = 2
			c.Segments[0].Learning.Drop = row.drop
			row.step.why = row.why
			n := newTestbed(t, c)
			n.run([]step{
				{why: "the first is learned", in: "1 udp 10.0.0.1:1 > 255.255.255.255:2", want: flooded("10.0.0.1")},
				{why: "the second too", in: "1 udp 10.0.0.2:1 > 255.255.255.255:2", want: flooded("10.0.0.2")},
				row.step,
				{why: "those that are known may send", in: "1 udp 10.0.0.1:1 > 255.255.255.255:2", want: flooded("10.0.0.1")},
				{
					why: "another port has a limit of its own", in: "2 udp 10.0.0.9:1 > 10.0.0.1:2",
					want: []string{"1 udp 10.0.0.9:1 > 10.0.0.1:2"},
				},
				{
					why: "the one beyond the limit is not known", in: "2 udp 10.0.0.9:1 > 10.0.0.3:2",
					want: []string{"1 udp 10.0.0.9:1 > 10.0.0.3:2", "3 udp 10.0.0.9:1 > 10.0.0.3:2"},
				},
				{
					why: "aging makes room", after: 301 * time.Second,
					in: "1 udp 10.0.0.3:1 > 255.255.255.255:2", want: flooded("10.0.0.3"),
				},
				{
					why: "so that it is learned", in: "2 udp 10.0.0.9:1 > 10.0.0.3:2",
					want: []string{"1 udp 10.0.0.9:1 > 10.0.0.3:2"},
				},
			})
			require.EqualValues(t, 1, n.state.MACStats().Limited)
		})
	}
}

func TestTableFull(t *testing.T) {
	n := newTestbed(t, learningSegment(), func(c *StateConfig) { c.MACs = 1 })
	n.run([]step{
		{why: "there is room for one", in: hello1by1, want: []string{hello1by2, hello1by3}},
		{
			why: "a second address finds none, and is served by flooding", in: "2 udp 10.0.0.2:1 > 10.0.0.1:2",
			want: []string{"1 udp 10.0.0.2:1 > 10.0.0.1:2"},
		},
		{
			why: "as is seen here", in: "1 udp 10.0.0.1:1 > 10.0.0.2:2",
			want: []string{"2 udp 10.0.0.1:1 > 10.0.0.2:2", "3 udp 10.0.0.1:1 > 10.0.0.2:2"},
		},
	})
	require.EqualValues(t, 1, n.state.MACStats().Full)
}

func TestRevisions(t *testing.T) {
	to1 := step{why: "to the learned address", in: to1by3, want: []string{"1 udp 10.0.0.3:1 > 10.0.0.1:2"}}
	flooded := step{why: "forgotten", in: to1by3, want: []string{"1 udp 10.0.0.3:1 > 10.0.0.1:2", "2 udp 10.0.0.3:1 > 10.0.0.1:2"}}
	elsewhere := step{why: "unreachable", in: to1by3, want: []string{"2 udp 10.0.0.3:1 > 10.0.0.1:2"}}
	bound := step{why: "where it is bound", in: to1by3, want: []string{"2 udp 10.0.0.3:1 > 10.0.0.1:2"}}
	tagged := step{why: "as the port is now", in: to1by3, want: []string{"1 udp 10.0.0.3:1 > 10.0.0.1:2 vlan 7"}}
	for _, row := range []struct {
		why    string
		change func(*Config)
		want   step
	}{
		{"a revision that changes nothing keeps what was learned", func(*Config) {}, to1},
		{"what is learned on a port that goes is forgotten", func(c *Config) { c.Ports = c.Ports[1:] }, elsewhere},
		{"what is learned in a segment that learns no more is forgotten", func(c *Config) { c.Segments[0].Learning.Enabled = false }, flooded},
		{"a binding is stronger than what was learned", func(c *Config) {
			c.Ports[1].Addresses = []Address{{MAC: packet.MAC{0x0a, 0x58, 10, 0, 0, 1}}}
		}, bound},
		{"a port that becomes a trunk keeps its addresses", func(c *Config) {
			c.Ports[0].Zones[0].Tags.Outer = 7
		}, tagged},
	} {
		t.Run(row.why, func(t *testing.T) {
			n := newTestbed(t, learningSegment())
			n.run([]step{
				{why: "the address is learned at 1", in: hello1by1, want: []string{hello1by2, hello1by3}},
				to1,
			})
			c := learningSegment()
			row.change(&c)
			n.apply(c)
			n.run([]step{row.want})
			n.apply(learningSegment())
			hops, _ := n.engine.Hops().Used()
			require.Equal(t, n.state.MACStats().Addresses, hops, "only learned addresses have hops: others are given back")
		})
	}
}
