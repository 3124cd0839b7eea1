package flowtable

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluice-net/sluice/packet"
)

// Sequences of packets against the table, held to what a firewall relies on:
//
//   - a TCP session on strict terms is established only if, since it began or was last
//     closed, one end has acknowledged the other's SYN, and that one its SYN: with numbers
//     that match, in segments that were let pass;
//   - one that was picked up is established only if the peer has answered;
//   - a packet that may not pass changes neither state nor counts;
//   - the books of the census and of the groups balance.

// said is what one end has said in segments that passed.
type said struct {
	syns []seq // their numbers
	end  seq   // the highest number sent
	acks []seq
	any  bool
}

// witness keeps an account of a TCP session that knows nothing of the machine's.
type witness struct {
	ends   [2]said
	before bool     // it was in a state behind the handshake
	passed []string // segments, for who has to find out
}

// established reports whether a state is behind the handshake.
func established(st State) bool {
	switch st {
	case StateTCPEstablished, StateTCPFinWait, StateTCPCloseWait, StateTCPLastAck, StateTCPTimeWait:
		return true
	}
	return false
}

// acked reports whether d has acknowledged a SYN of its peer, and perhaps what came after.
func (w *witness) acked(d Dir) bool {
	peer := &w.ends[d.peer()]
	for _, syn := range peer.syns {
		for _, ack := range w.ends[d].acks {
			if ack.inRange(syn.add(1), peer.end) {
				return true
			}
		}
	}
	return false
}

// saw notes a segment that passed and the state that it led to.
func (w *witness) saw(t *testing.T, d Dir, g *segment, st State, strict, pickedUp bool) {
	e := &w.ends[d]
	w.passed = append(w.passed, fmt.Sprintf("%c flags %02x seq %d end %d ack %d => %v", "or"[d], g.flags, g.seq, g.end, g.ack, st))
	if g.has(packet.TCPSyn) {
		e.syns = append(e.syns, g.seq)
	}
	if g.has(packet.TCPAck) {
		e.acks = append(e.acks, g.ack)
	}
	if !e.any || e.end.lessThan(g.end) {
		e.end = g.end
	}
	e.any = true
	switch now := established(st); {
	case now && !w.before && pickedUp:
		require.False(t, strict, "picked up on strict terms")
		require.True(t, w.ends[Reply].any, "picked up, and nobody has answered")
	case now && !w.before:
		require.True(t, w.acked(Original) && w.acked(Reply), "%v without a handshake:\n%s", st, strings.Join(w.passed, "\n"))
	}
	w.before = established(st)
	if st == StateTCPClosed {
		// Acknowledgements from before prove nothing about what comes; a SYN may be
		// answered yet.
		w.ends[Original].acks, w.ends[Reply].acks = nil, nil
	}
}

// sequencer plays a sequence: five bytes a step.
type sequencer struct {
	t         *testing.T
	table     *Table
	w         *Worker
	now       int64
	witnesses map[uint32]*witness // by session number
	sent      [4][2]uint32        // of each TCP flow and direction: the next number
}

// Numbers with which both ends begin: one of them wraps soon.
var initial = [2]uint32{1000, 1<<32 - 5}

const flowsOfSequence = 8 // four of TCP, then one of each other kind

func newSequencer(t *testing.T) *sequencer {
	table := newTable(t, Config{Sessions: 6, ManualSweep: true, Limits: Limits{UDP: 2}})
	require.NoError(t, table.SetCaps(1, Caps{Limits{TCPHalfOpen: 2, UDP: 1, ICMP: 1, Other: 1}, true}))
	require.NoError(t, table.SetCaps(2, Caps{Limits{TCPHalfOpen: 3}, false}))
	s := &sequencer{t: t, table: table, w: table.Worker(0), now: second, witnesses: map[uint32]*witness{}}
	for i := range s.sent {
		s.sent[i] = initial
	}
	return s
}

// number chooses a sequence or acknowledgement number around what it should be.
func number(next, first uint32, how byte) uint32 {
	switch how % 8 {
	case 0:
		return first
	case 1:
		return first + 1
	case 2:
		return next + 1
	case 3:
		return next - 1
	case 4:
		return next + uint32(how)<<10
	case 5:
		return next - uint32(how)<<10
	}
	return next
}

func (s *sequencer) step(op [5]byte) {
	flow, d := int(op[0]%flowsOfSequence), Dir(op[0]>>3&1)
	protos := [flowsOfSequence]uint8{
		packet.ProtoTCP, packet.ProtoTCP, packet.ProtoTCP, packet.ProtoTCP,
		packet.ProtoUDP, packet.ProtoICMP, packet.ProtoGRE, packet.ProtoSCTP,
	}
	key := keyOf(flow, protos[flow])
	if d == Reply {
		key = key.Reverse()
	}
	switch op[0] >> 4 {
	case 15:
		s.now += int64(op[1]) * second
		s.w.SweepAll(s.now)
		return
	case 14:
		if id := s.table.Lookup(&key); id != 0 {
			s.w.End(id, EndCleared, s.now)
		}
		return
	case 13:
		s.w.Quiesce(s.now)
		return
	}
	in, frame, g := s.packet(flow, d, key, op)
	s.take(key, d, &in, frame, g, op[0]>>6&1 == 0)
}

// packet makes a packet of a flow; g is nil unless it is a TCP segment.
func (s *sequencer) packet(flow int, d Dir, key packet.Key, op [5]byte) (packet.Info, []byte, *segment) {
	if key.Proto() != packet.ProtoTCP {
		in, frame := infoOf(key), make([]byte, 64)
		in.IPLen = 50
		frame[in.L4] = []byte{packet.ICMPEcho, packet.ICMPEchoReply}[d]
		if key.Proto() == packet.ProtoSCTP {
			binary.BigEndian.PutUint32(frame[in.L4+4:], uint32(op[2]%4))
			frame[in.L4+12], frame[in.L4+15] = op[1]%16, 18
			binary.BigEndian.PutUint32(frame[in.L4+16:], uint32(op[3]%4))
		}
		return in, frame, nil
	}
	flags := []uint8{
		packet.TCPSyn, packet.TCPSyn | packet.TCPAck, packet.TCPAck, packet.TCPAck,
		packet.TCPAck | packet.TCPFin, packet.TCPRst, packet.TCPRst | packet.TCPAck, op[4],
	}[op[1]%8]
	own, peer := &s.sent[flow][d], s.sent[flow][d.peer()]
	f := tcpFields{
		flags: flags, seq: number(*own, initial[d], op[2]), ack: number(peer, initial[d.peer()], op[3]),
		win: 65535, length: int(op[4]) % 3 * 100,
	}
	p := makeTCP(d, &f)
	p.in.Key = key
	var g segment
	if !g.read(&p.in, p.frame) {
		return p.in, p.frame, &g
	}
	if g.seq == seq(*own) {
		*own = uint32(g.end)
	}
	return p.in, p.frame, &g
}

// take does what the pipeline does with a packet.
func (s *sequencer) take(key packet.Key, d Dir, in *packet.Info, frame []byte, g *segment, strict bool) {
	t, table := s.t, s.table
	id := table.Lookup(&key)
	if id != 0 && s.w.Expire(id, s.now) {
		id = 0
	}
	if id != 0 {
		before, counts := table.session(id.Session()).state(), table.Stats().Classes
		r, reopened := s.w.Track(id, in, frame, s.now)
		if !reopened {
			after := table.session(id.Session()).state()
			if r != packet.None {
				require.Equal(t, before, after, "a packet that may not pass")
				require.Equal(t, counts, table.Stats().Classes)
				return
			}
			table.Entry(id).Count(60, s.now)
			if w := s.witnesses[id.Session()]; g != nil {
				pickedUp := table.session(id.Session()).word.Load()&tcpPickedUp != 0
				w.saw(t, id.Dir(), g, after, table.Terms(id).Strict, pickedUp)
			}
			return
		}
		require.Contains(t, []State{StateTCPClosed, StateTCPTimeWait, StateSCTPClosed}, before, "only what is over is begun anew")
	}
	terms := Terms{Strict: strict, Caps: [2]uint16{uint16(key.SrcPort()) % 3, uint16(key.SrcPort()) / 3 % 3}}
	id, created, r := s.w.Create(key, key.Reverse(), terms, in, frame, s.now)
	if r != packet.None {
		require.False(t, created)
		return
	}
	require.True(t, created)
	st := table.session(id.Session()).state()
	require.NotEqual(t, classEstablished, stateInfo[st].class, "established by one packet")
	if g != nil {
		w := &witness{}
		s.witnesses[id.Session()] = w
		w.saw(t, Original, g, st, strict, st == StatePickedUp)
		if strict {
			require.Equal(t, StateTCPSynSent, st)
		}
	}
}

func (s *sequencer) play(data []byte) {
	for ; len(data) >= 5; data = data[5:] {
		s.step([5]byte(data))
	}
	requireBooks(s.t, s.table, 1, 2)
	s.w.EndMatching(0, 1<<30, nil, EndCleared, s.now)
	requireBooks(s.t, s.table, 1, 2)
	require.Zero(s.t, s.table.Stats().Live)
}

// Steps of a sequence: flow 0, original and reply direction, numbers as they should be.
var (
	synStep    = [5]byte{0, 0, 0, 6, 0}
	synACKStep = [5]byte{8, 1, 0, 6, 0}
	ackStep    = [5]byte{0, 2, 6, 6, 0}
)

func FuzzSequences(f *testing.F) {
	join := func(steps ...[5]byte) (data []byte) {
		for _, s := range steps {
			data = append(data, s[:]...)
		}
		return data
	}
	f.Add(join(synStep, synACKStep, ackStep))
	f.Add(join(synStep, synACKStep, ackStep, [5]byte{0, 4, 6, 6, 0}, [5]byte{8, 4, 6, 6, 0}, ackStep, synStep, synACKStep))
	f.Add(join(synStep, [5]byte{8, 0, 0, 6, 0}, synACKStep, [5]byte{0, 1, 0, 6, 0}, ackStep))
	f.Add(join(synStep, synACKStep, ackStep, [5]byte{8, 5, 6, 6, 0}, [5]byte{8, 1, 0, 6, 0}, ackStep))
	f.Add(join(synStep, synACKStep, ackStep, [5]byte{0, 0, 4, 6, 0}, [5]byte{8, 5, 6, 6, 0}, [5]byte{8, 1, 6, 4, 0}, ackStep))
	f.Add(join([5]byte{64, 2, 6, 6, 1}, [5]byte{72, 2, 6, 6, 1}, [5]byte{4, 0, 0, 0, 0}, [5]byte{12, 0, 0, 0, 0}, [5]byte{240, 200, 0, 0, 0}))
	f.Fuzz(func(t *testing.T, data []byte) { newSequencer(t).play(data[:min(len(data), 5*200)]) })
}

// Random sequences, most of whose segments are what they should be, so that many get far.
func TestRandomSequences(t *testing.T) {
	rounds := 3000
	if testing.Short() || raceEnabled {
		rounds = 300
	}
	rng := rand.New(rand.NewPCG(4, 2))
	reached := map[State]int{}
	for range rounds {
		s := newSequencer(t)
		for range 60 {
			op := [5]byte{byte(rng.Uint32()), byte(rng.Uint32()), 6, 6, byte(rng.Uint32())}
			if rng.IntN(8) > 0 {
				op[0] = byte(rng.IntN(2)<<3 | rng.IntN(2)<<6) // flow 0
			}
			if rng.IntN(4) == 0 {
				op[2+rng.IntN(2)] = byte(rng.Uint32())
			}
			if op[1]%8 == 0 {
				op[2] = 0
			}
			s.step(op)
			for r := range s.table.Sessions {
				reached[r.State]++
			}
		}
		s.play(nil)
	}
	for st := StatePickedUp; st <= StateTCPClosed; st++ {
		require.Positive(t, reached[st], "%v was never reached: the sequences test too little", st)
	}
}
