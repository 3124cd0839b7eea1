package flowtable

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluice-net/sluice/packet"
)

// far is further from where an endpoint of the simulator is than any number
// that it may still use: its windows are at most 1 MiB.
const far = 4 << 20

// A blind sender knows addresses and ports and guesses numbers. Nothing far
// from the numbers of the connection passes, with two exceptions that the
// endpoints themselves have to answer: a SYN of the originator, and where the
// connection is over. Neither changes what the session is, and the connection
// goes on undisturbed.
func TestBlindSegmentsAreInvalid(t *testing.T) {
	var tried, syns int
	for seed := range uint64(20) {
		sim := newSimulation(seed + 1000)
		sim.attacker = func(c *conversation) {
			st := c.s.state()
			if stateInfo[st].class == classEmbryonic || st == StateTCPClosed || st == StateTCPTimeWait {
				return
			}
			for range 4 {
				d := Dir(sim.rng.IntN(2))
				own, peer := sim.ends[d], sim.ends[d.peer()]
				f := tcpFields{
					flags: []uint8{
						packet.TCPAck, packet.TCPAck | packet.TCPPsh, packet.TCPAck | packet.TCPFin, packet.TCPRst,
						packet.TCPRst | packet.TCPAck, packet.TCPSyn, packet.TCPSyn | packet.TCPAck,
					}[sim.rng.IntN(7)],
					seq: own.iss + uint32(own.nxt), ack: peer.iss + uint32(peer.nxt),
					win: uint16(sim.rng.Uint32()), length: sim.rng.IntN(1460),
				}
				guess := far + sim.rng.Uint32N(1<<32-2*far)
				isRST, isSYN := f.flags&packet.TCPRst != 0, f.flags == packet.TCPSyn
				if sim.rng.IntN(2) == 0 || isRST || isSYN {
					f.seq += guess
				} else {
					f.ack += guess
				}
				if f.flags&packet.TCPSyn != 0 || isRST {
					f.length = 0
				}
				p := makeTCP(d, &f)
				before := *c.s.words()
				verdict := c.take(&p)
				if isSYN && d == Original {
					syns++
					require.Equal(t, st.String(), verdict)
					continue
				}
				tried++
				if verdict != "invalid" || *c.s.words() != before {
					t.Fatalf("%+v of %s is %s in state %s\nown %+v\npeer %+v", f, own.name, verdict, st, c.s.half[d].load(), c.s.half[d.peer()].load())
				}
			}
		}
		t.Run(fmt.Sprint(seed), func(t *testing.T) { sim.run(t) })
	}
	require.Greater(t, tried, 10_000)
	require.Positive(t, syns)
}

// Nor does a blind sender end a connection, whatever its state, with RSTs at
// equal distances, as in Watson, "Slipping in the Window" (2004): the window is
// small next to the circle, and inside it only the exact number counts.
func TestBlindResets(t *testing.T) {
	for _, before := range [][]string{handshake, steps(handshake, closing[:1]), steps(handshake, closing[:2]), steps(handshake, closing[:3])} {
		c := newConversation(false)
		c.run(t, before)
		st := c.s.state().String()
		passed := 0
		for i := range uint32(1 << 17) {
			for d := range Dir(2) {
				p := makeTCP(d, &tcpFields{flags: packet.TCPRst, seq: 500 + i<<15})
				switch verdict := c.take(&p); verdict {
				case st:
					passed++
				case "invalid":
				default:
					t.Fatalf("%s by RST with %d in state %s", verdict, 500+i<<15, st)
				}
			}
		}
		require.Less(t, passed, 20, "of 2^18, those that happen to be in the window, in %s", st)
	}
}
