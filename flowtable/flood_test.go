package flowtable

import (
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluice-net/sluice/packet"
)

// client is one that connects while a flood is on: each step of its handshake comes half a
// round trip after the one before.
type client struct {
	key  packet.Key
	step int
	due  int64
}

// TestSYNFloodLeavesHandshakesWorking: spoofed SYNs at 500000 per second against a
// server whose cap of half-open connections they fill 50 times a second. Clients with a round
// trip of 5 ms connect all the same, and those that are connected notice nothing.
func TestSYNFloodLeavesHandshakesWorking(t *testing.T) {
	const (
		perSecond = 500_000
		most      = 10_000
		vector    = 64
		halfTrip  = 2_500_000 // ns
		each      = 1_000_000 // ns between two clients
		sessions  = 1 << 16
		group     = 300
		spoofed   = 1 << 24 // flow numbers of the flood
	)
	duration := 3 * second
	if testing.Short() || raceEnabled {
		duration /= 30
	}
	var floods, others int
	var lastFlood Record
	table := newTable(t, Config{Sessions: sessions, ManualSweep: true, Ended: func(_ int, r *Record) {
		if r.Reason != EndFlood {
			others++
		}
		floods++
		lastFlood = *r
	}})
	require.NoError(t, table.SetCaps(group, Caps{Limits{TCPHalfOpen: most}, true}))
	w := table.Worker(0)
	toServer := Terms{Caps: [2]uint16{0, group}}
	server := packet.AddrFrom4(&[4]byte{192, 0, 2, 80})
	keyFrom := func(addr [4]byte, port uint16) packet.Key {
		return packet.Key{Src: packet.AddrFrom4(&addr), Dst: server, Tail: packet.MakeTail(1, packet.ProtoTCP, port, 443)}
	}
	begin := func(k packet.Key, now int64) ID {
		in, frame := tcpSegment(k, packet.TCPSyn, 100, 0)
		id, created, r := w.Create(k, k.Reverse(), toServer, &in, frame, now)
		if r != packet.None || !created {
			require.Equal(t, packet.None, r)
			require.True(t, created)
		}
		return id
	}
	now := 5 * second
	var established []packet.Key
	for i := range 1000 {
		k := keyFrom([4]byte{10, 1, byte(i >> 8), byte(i)}, 999)
		establish(t, w, begin(k, now), now)
		established = append(established, k)
	}
	rng := rand.New(rand.NewPCG(1, 2))
	var waiting []client
	connected, n := 0, 0
	end := now + duration
	for nextClient := now; now < end; now += vector * second / perSecond {
		for range vector {
			// Any source: what repeats is retransmitted, as floods do.
			k := keyFrom([4]byte{172, byte(n >> 16), byte(n >> 8), byte(n)}, uint16(rng.IntN(64)))
			n++
			begin(k, now)
		}
		if now >= nextClient {
			k := keyFrom([4]byte{10, 2, byte(n >> 8), byte(n)}, uint16(10_000+n/vector%50_000))
			begin(k, now)
			waiting = append(waiting, client{key: k, due: now + halfTrip})
			established = append(established, k)
			nextClient += each
		}
		for len(waiting) > 0 && waiting[0].due <= now {
			c := waiting[0]
			waiting = waiting[1:]
			id := table.Lookup(&c.key)
			if id == 0 {
				require.NotZero(t, id, "a client's session is gone %d ms after its SYN", (c.step+1)*halfTrip/1_000_000)
			}
			if c.step == 0 {
				step(t, w, id.Peer(), packet.TCPSyn|packet.TCPAck, 500, 101, now)
				c.step, c.due = 1, now+halfTrip
				waiting = append(waiting, c)
				continue
			}
			step(t, w, id, packet.TCPAck, 101, 501, now)
			require.Equal(t, StateTCPEstablished, table.session(id.Session()).state())
			connected++
		}
		w.Quiesce(now)
		require.LessOrEqual(t, table.Charged(group).TCPHalfOpen, most)
	}
	require.InDelta(t, duration/each, connected, 10)
	for _, k := range established[:len(established)-len(waiting)] {
		id := table.Lookup(&k)
		require.NotZero(t, id)
		require.Equal(t, StateTCPEstablished, table.session(id.Session()).state())
	}
	require.Equal(t, most, table.Charged(group).TCPHalfOpen, "the rest of the flood")
	require.Equal(t, n+len(waiting)-most, floods, "all of the flood but the last, each told once")
	require.Zero(t, others)

	// What the firewall needs to take the half-open connection off the server.
	require.Equal(t, toServer, lastFlood.Terms)
	require.Equal(t, TCPNumbers{Seq: 101, Sent: 101, SeqKnown: true}, lastFlood.TCP[Original])
	requireBooks(t, table, group)
}
