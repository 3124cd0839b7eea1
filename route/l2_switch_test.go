package route

import (
	"testing"
	"time"

	"github.com/sluice-net/sluice/packet"
)

var gatewayMAC = packet.GatewayMAC

// learningSegment is a segment, zone 1, of unbound ports 1 to 3.
func learningSegment() Config {
	c := Config{
		GatewayMAC: gatewayMAC,
		Segments: []Segment{{
			Name: "web", Zone: 1, MTU: 1500, Router: -1, FloodUnknown: true,
			Learning: Learning{Enabled: true, AgingNs: int64(300 * time.Second), MoveLimit: 5, MoveWindowNs: int64(180 * time.Second)},
		}},
	}
	for n := range uint16(3) {
		c.Ports = append(c.Ports, &Port{Number: n + 1, Name: string(rune('a' + n)), Zones: []Attachment{{Zone: 1}}})
	}
	return c
}

func TestSwitching(t *testing.T) {
	newTestbed(t, learningSegment()).run([]step{
		{
			why:  "a frame for an address that nobody has used goes to all other ports",
			in:   "1 udp 10.0.0.1:1 > 10.0.0.2:2",
			want: []string{"2 udp 10.0.0.1:1 > 10.0.0.2:2", "3 udp 10.0.0.1:1 > 10.0.0.2:2"},
		},
		{
			why:  "the answer goes to the port where the first frame's source was learned",
			in:   "2 udp 10.0.0.2:2 > 10.0.0.1:1",
			want: []string{"1 udp 10.0.0.2:2 > 10.0.0.1:1"},
		},
		{
			why:  "now both are known",
			in:   "1 udp 10.0.0.1:1 > 10.0.0.2:2",
			want: []string{"2 udp 10.0.0.1:1 > 10.0.0.2:2"},
		},
		{
			why:  "broadcasts go to all other ports",
			in:   "3 arp 10.0.0.3 who-has 10.0.0.9",
			want: []string{"1 arp 10.0.0.3 who-has 10.0.0.9", "2 arp 10.0.0.3 who-has 10.0.0.9"},
		},
		{
			why:  "frames that are no IP are switched too",
			in:   "3 ether type 0x88b5 eth 0a:58:0a:00:00:03 > 0a:58:0a:00:00:01 len 46",
			want: []string{"1 ether type 0x88b5 eth 0a:58:0a:00:00:03 > 0a:58:0a:00:00:01 len 46"},
		},
		{
			why:  "a frame does not leave by the port it came in by",
			in:   "1 udp 10.0.0.7:1 > 10.0.0.1:2",
			drop: packet.SplitHorizon,
		},
		{
			why:  "what a bridge keeps on the link is not forwarded: a spanning tree BPDU",
			in:   "1 ether type 0x0026 eth 0a:58:0a:00:00:01 > 01:80:c2:00:00:00 len 46",
			drop: packet.ReservedMulticast,
		},
		{
			why:  "and LLDP, the last but one address of the block",
			in:   "1 ether type 0x88cc eth 0a:58:0a:00:00:01 > 01:80:c2:00:00:0e len 46",
			drop: packet.ReservedMulticast,
		},
		{
			why: "the next address after the block is a group like any other",
			in:  "1 ether type 0x88b5 eth 0a:58:0a:00:00:01 > 01:80:c2:00:00:10 len 46",
			want: []string{
				"2 ether type 0x88b5 eth 0a:58:0a:00:00:01 > 01:80:c2:00:00:10 len 46",
				"3 ether type 0x88b5 eth 0a:58:0a:00:00:01 > 01:80:c2:00:00:10 len 46",
			},
		},
	})
}

func TestAging(t *testing.T) {
	const (
		there = "1 udp 10.0.0.1:1 > 10.0.0.2:2"
		back  = "2 udp 10.0.0.2:2 > 10.0.0.1:1"
	)
	learn := []step{
		{
			why: "1 is learned", in: there,
			want: []string{"2 udp 10.0.0.1:1 > 10.0.0.2:2", "3 udp 10.0.0.1:1 > 10.0.0.2:2"},
		},
		{why: "2 is learned", in: back, want: []string{"1 udp 10.0.0.2:2 > 10.0.0.1:1"}},
		{why: "a session is made", in: there, want: []string{"2 udp 10.0.0.1:1 > 10.0.0.2:2"}},
	}
	t.Run("an address that sends nothing is forgotten", func(t *testing.T) {
		n := newTestbed(t, learningSegment())
		n.run(learn)
		n.run([]step{
			{why: "within its age it is known", after: 299 * time.Second, in: there, want: []string{"2 udp 10.0.0.1:1 > 10.0.0.2:2"}},
			{
				why: "after it the flow that has led there is decided anew", after: 2 * time.Second, in: there,
				want: []string{"2 udp 10.0.0.1:1 > 10.0.0.2:2", "3 udp 10.0.0.1:1 > 10.0.0.2:2"},
			},
		})
	})
	t.Run("an address is kept by a flow that needs no decision", func(t *testing.T) {
		n := newTestbed(t, learningSegment())
		n.run(learn)
		for range 100 {
			n.run([]step{
				{why: "2 sends", after: 10 * time.Second, in: back, want: []string{"1 udp 10.0.0.2:2 > 10.0.0.1:1"}},
				{why: "so does 1, to others", in: "1 udp 10.0.0.1:1 > 10.0.0.1:3 eth 0a:58:0a:00:00:01 > 0a:58:0a:00:00:01", drop: packet.SplitHorizon},
			})
		}
		n.run([]step{{why: "2 has not aged", in: there, want: []string{"2 udp 10.0.0.1:1 > 10.0.0.2:2"}}})
	})
}
