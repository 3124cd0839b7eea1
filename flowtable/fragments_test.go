package flowtable

import (
	"math"
	"net/netip"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluice-net/sluice/packet"
)

// datagramSpec is a UDP datagram to be cut into fragments.
type datagramSpec struct {
	v6    bool
	src   packet.Addr // zero: .1
	id    uint32
	sport uint16
	proto uint8 // zero: UDP
	opts  bool  // IPv6 destination options after the fragment header
}

func testAddr(v6 bool, n byte) packet.Addr {
	if v6 {
		return packet.AddrFrom(netip.AddrFrom16([16]byte{0x20, 1, 0xd, 0xb8, 15: n}))
	}
	return packet.AddrFrom(netip.AddrFrom4([4]byte{10, 0, 0, n}))
}

// fragment builds the frame of the octets from..to of the datagram.
func (s *datagramSpec) fragment(from, to int, more bool) []byte {
	src, proto := s.src, s.proto
	if src == (packet.Addr{}) {
		src = testAddr(s.v6, 1)
	}
	if proto == 0 {
		proto = packet.ProtoUDP
	}
	payload := make([]byte, to-from)
	if from == 0 {
		l4 := payload
		if s.opts {
			copy(l4, []byte{packet.ProtoUDP, 0, packet.IPv6OptionPadN, 4})
			l4 = l4[8:]
		}
		(&packet.UDPFields{SrcPort: s.sport, DstPort: 53, Length: 60000}).Put(l4)
	}
	if s.opts {
		proto = packet.ProtoDestOpts
	}
	eth := packet.EthernetFields{Dst: packet.MAC{2, 0, 0, 0, 0, 2}, Src: packet.MAC{2, 0, 0, 0, 0, 1}, Type: packet.EtherTypeIPv4}
	b := make([]byte, packet.EthernetSize+packet.IPv6Size+packet.IPv6FragmentSize)
	if s.v6 {
		eth.Type = packet.EtherTypeIPv6
	}
	n := eth.Put(b)
	if s.v6 {
		n += (&packet.IPv6Fields{
			NextHeader: packet.ProtoFragment, HopLimit: 64, PayloadLen: uint16(packet.IPv6FragmentSize + len(payload)),
			Src: src, Dst: testAddr(true, 2),
		}).Put(b[n:])
		n += (&packet.IPv6FragmentFields{Next: proto, More: more, Offset: uint16(from), ID: s.id}).Put(b[n:])
	} else {
		n += (&packet.IPv4Fields{
			TTL: 64, Proto: proto, MoreFragments: more, Length: uint16(packet.IPv4MinSize + len(payload)),
			ID: uint16(s.id), FragmentOffset: uint16(from), Src: src, Dst: testAddr(false, 2),
		}).Put(b[n:])
	}
	return append(b[:n], payload...)
}

// fragmentBox is a Fragments and the worker's part.
type fragmentBox struct {
	f       *Fragments
	release [MaxHeldPerDatagram]packet.Index
	in      packet.Info // of the last fragment
	zone    packet.Zone
}

func newFragmentBox(t testing.TB, cfg FragmentConfig) *fragmentBox {
	f, err := NewFragments(cfg)
	require.NoError(t, err)
	return &fragmentBox{f: f, zone: 7}
}

func (b *fragmentBox) offer(t testing.TB, i packet.Index, frame []byte, now int64) (FragmentVerdict, []packet.Index, packet.Reason) {
	if r := packet.Parse(frame, &b.in); r != packet.None || !b.in.Has(packet.IsFragment) {
		t.Fatalf("not a fragment: %s, %x", r, frame)
	}
	b.in.Key = b.in.Key.WithZone(b.zone)
	v, n, r := b.f.Offer(i, &b.in, frame, now, &b.release)
	if v == FragmentDrop != (r != packet.None) {
		t.Fatalf("verdict %d for reason %s", v, r)
	}
	return v, b.release[:n], r
}

// offered is a fragment and what is expected of it.
type offered struct {
	spec     datagramSpec
	from, to int
	last     bool
	at       int64 // ns
	want     FragmentVerdict
	reason   packet.Reason
	release  []packet.Index // buffers are numbered from 1 in order of the rows
	sport    uint16         // of a later fragment that passes
}

func TestFragments(t *testing.T) {
	v4, v6 := datagramSpec{id: 9, sport: 1000}, datagramSpec{v6: true, id: 9, sport: 1000}
	other := datagramSpec{id: 9, sport: 2000}
	const pass, held, drop = FragmentPass, FragmentHeld, FragmentDrop
	rows := []struct {
		why  string
		cfg  FragmentConfig
		then []offered
	}{
		{why: "in order", then: []offered{
			{spec: v4, from: 0, to: 800},
			{spec: v4, from: 800, to: 1600, sport: 1000},
			{spec: v4, from: 1600, to: 1700, last: true, sport: 1000},
		}},
		{why: "in reverse: the later ones wait, and come back in order of arrival", then: []offered{
			{spec: v4, from: 1600, to: 1700, last: true, want: held},
			{spec: v4, from: 800, to: 1600, want: held},
			{spec: v4, from: 0, to: 800, release: []packet.Index{1, 2}},
			{spec: v4, from: 1600, to: 1700, last: true, sport: 1000},
			{spec: v4, from: 800, to: 1600, sport: 1000},
		}},
		{why: "IPv6, whose later fragments do not tell the protocol if options follow", then: []offered{
			{spec: datagramSpec{v6: true, id: 70000, sport: 1000, opts: true}, from: 16, to: 160, last: true, want: held},
			{spec: datagramSpec{v6: true, id: 70000, sport: 1000, opts: true}, from: 0, to: 16, release: []packet.Index{1}},
			{spec: datagramSpec{v6: true, id: 70000, sport: 1000, opts: true}, from: 16, to: 160, last: true, sport: 1000},
		}},
		{why: "the same identification from another source, of another protocol or in IPv6 is another datagram", then: []offered{
			{spec: v4, from: 0, to: 800},
			{spec: v6, from: 800, to: 1600, want: held},
			{spec: datagramSpec{id: 9, src: testAddr(false, 3)}, from: 800, to: 1600, want: held},
			{spec: datagramSpec{id: 9, proto: packet.ProtoTCP}, from: 800, to: 1600, want: held},
			{spec: datagramSpec{id: 10}, from: 800, to: 1600, want: held},
			{spec: v4, from: 800, to: 1600, sport: 1000},
		}},
		{why: "two first fragments with different ports: the later one is dropped", then: []offered{
			{spec: v4, from: 0, to: 800},
			{spec: other, from: 0, to: 800, want: drop, reason: packet.FragmentOverlap},
			{spec: v4, from: 0, to: 800},
			{spec: v4, from: 800, to: 1600, sport: 1000},
		}},
		{why: "exact repetitions pass, also of fragments that others adjoin", then: []offered{
			{spec: v4, from: 0, to: 800},
			{spec: v4, from: 800, to: 1600, sport: 1000},
			{spec: v4, from: 1600, to: 2400, sport: 1000},
			{spec: v4, from: 800, to: 1600, sport: 1000},
			{spec: v4, from: 0, to: 800},
		}},
		{why: "overlaps are dropped: shifted, longer, shorter, and across fragments that adjoin (RFC 5722)", then: []offered{
			{spec: v6, from: 0, to: 800},
			{spec: v6, from: 800, to: 1600, sport: 1000},
			{spec: v6, from: 1600, to: 2400, sport: 1000},
			{spec: v6, from: 792, to: 1592, want: drop, reason: packet.FragmentOverlap},
			{spec: v6, from: 800, to: 1608, want: drop, reason: packet.FragmentOverlap},
			{spec: v6, from: 808, to: 1600, want: drop, reason: packet.FragmentOverlap},
			{spec: v6, from: 800, to: 2400, want: drop, reason: packet.FragmentOverlap},
			{spec: v6, from: 2392, to: 3192, want: drop, reason: packet.FragmentOverlap},
			{spec: v6, from: 0, to: 16, want: drop, reason: packet.FragmentOverlap},
			{spec: v6, from: 2400, to: 3200, sport: 1000},
		}},
		{why: "a first fragment that overlaps one that waits is dropped, the honest one is not", then: []offered{
			{spec: v4, from: 800, to: 1600, want: held},
			{spec: v4, from: 0, to: 808, want: drop, reason: packet.FragmentOverlap},
			{spec: v4, from: 0, to: 800, release: []packet.Index{1}},
		}},
		{why: "there is one end, and nothing after it", then: []offered{
			{spec: v4, from: 0, to: 800},
			{spec: v4, from: 2400, to: 2500, last: true, sport: 1000},
			{spec: v4, from: 2504, to: 2600, want: drop, reason: packet.FragmentOverlap},
			{spec: v4, from: 1600, to: 1700, last: true, want: drop, reason: packet.FragmentOverlap},
			{spec: v4, from: 2504, to: 2600, last: true, want: drop, reason: packet.FragmentOverlap},
			{spec: v4, from: 800, to: 2400, sport: 1000},
		}},
		{why: "the end is not before what has come", then: []offered{
			{spec: v4, from: 0, to: 800},
			{spec: v4, from: 1600, to: 2400, sport: 1000},
			{spec: v4, from: 800, to: 1600, last: true, want: drop, reason: packet.FragmentOverlap},
		}},
		{why: "a repetition says the same of the end", then: []offered{
			{spec: v4, from: 0, to: 800},
			{spec: v4, from: 800, to: 1600, sport: 1000},
			{spec: v4, from: 800, to: 1600, last: true, want: drop, reason: packet.FragmentOverlap},
			{spec: v4, from: 1600, to: 2400, last: true, sport: 1000},
			{spec: v4, from: 1600, to: 2400, want: drop, reason: packet.FragmentOverlap},
		}},
		{why: "options after the IPv6 fragment header are a part of the first fragment", then: []offered{
			{spec: datagramSpec{v6: true, id: 1, sport: 1000, opts: true}, from: 0, to: 32},
			{spec: datagramSpec{v6: true, id: 1, opts: true}, from: 24, to: 32, want: drop, reason: packet.FragmentOverlap},
			{spec: datagramSpec{v6: true, id: 1, opts: true}, from: 32, to: 40, sport: 1000},
		}},
		{why: "a fragment with others to come is a multiple of eight octets", then: []offered{
			{spec: v4, from: 0, to: 801, want: drop, reason: packet.InvalidHeader},
			{spec: v6, from: 800, to: 1601, want: drop, reason: packet.InvalidHeader},
			{spec: v4, from: 800, to: 800, last: true, want: drop, reason: packet.InvalidHeader},
		}},
		{why: "the identification is used again after the datagram was complete: new ports", then: []offered{
			{spec: v4, from: 0, to: 800},
			{spec: v4, from: 800, to: 900, last: true, sport: 1000},
			{spec: v4, from: 800, to: 900, last: true, sport: 1000}, // repeated
			{spec: other, from: 0, to: 800},
			{spec: other, from: 800, to: 900, last: true, sport: 2000},
		}},
		{why: "a complete datagram is forgotten soon: its identification is free", cfg: FragmentConfig{HoldTimeoutNs: 100, TimeoutNs: 1000}, then: []offered{
			{spec: v4, from: 0, to: 800, at: 1},
			{spec: v4, from: 800, to: 900, last: true, at: 2, sport: 1000},
			{spec: v4, from: 800, to: 900, last: true, at: 102, want: held},
		}},
		{why: "an incomplete one is remembered until its time is over", cfg: FragmentConfig{HoldTimeoutNs: 100, TimeoutNs: 1000}, then: []offered{
			{spec: v4, from: 0, to: 800, at: 1},
			{spec: v4, from: 800, to: 1600, at: 1000, sport: 1000},
			{spec: v4, from: 1600, to: 2400, at: 1001, want: held},
		}},
		{why: "not more may wait for one datagram than its share", cfg: FragmentConfig{HeldPerDatagram: 2}, then: []offered{
			{spec: v4, from: 800, to: 1600, want: held},
			{spec: v4, from: 1600, to: 2400, want: held},
			{spec: v4, from: 2400, to: 3200, want: drop, reason: packet.FragmentLimit},
			{spec: v4, from: 0, to: 800, release: []packet.Index{1, 2}},
			{spec: v4, from: 2400, to: 3200, sport: 1000},
		}},
		{why: "nor for one source", cfg: FragmentConfig{PerSource: 2}, then: []offered{
			{spec: datagramSpec{id: 1}, from: 800, to: 1600, want: held},
			{spec: datagramSpec{id: 2}, from: 800, to: 1600, want: held},
			{spec: datagramSpec{id: 3}, from: 800, to: 1600, want: drop, reason: packet.FragmentLimit},
			{spec: datagramSpec{id: 3, src: testAddr(false, 3)}, from: 800, to: 1600, want: held},
			{spec: datagramSpec{id: 1}, from: 0, to: 800, release: []packet.Index{1}},
			{spec: datagramSpec{id: 3}, from: 800, to: 1600, want: held},
		}},
		{why: "nor altogether", cfg: FragmentConfig{Held: 1, PerSource: 5}, then: []offered{
			{spec: datagramSpec{id: 1}, from: 800, to: 1600, want: held},
			{spec: datagramSpec{id: 2}, from: 800, to: 1600, want: drop, reason: packet.FragmentLimit},
		}},
		{why: "room is made: the oldest complete datagram first", cfg: FragmentConfig{Datagrams: 3}, then: []offered{
			{spec: datagramSpec{id: 1, sport: 1}, from: 0, to: 800},
			{spec: datagramSpec{id: 2, sport: 2}, from: 0, to: 800},
			{spec: datagramSpec{id: 3, sport: 3}, from: 0, to: 800},
			{spec: datagramSpec{id: 2}, from: 800, to: 900, last: true, sport: 2},
			{spec: datagramSpec{id: 4, sport: 4}, from: 0, to: 800},
			{spec: datagramSpec{id: 1}, from: 800, to: 1600, sport: 1},
			{spec: datagramSpec{id: 3}, from: 800, to: 1600, sport: 3},
			{spec: datagramSpec{id: 4}, from: 800, to: 1600, sport: 4},
		}},
		{why: "then the oldest that is open; one that waits never", cfg: FragmentConfig{Datagrams: 2}, then: []offered{
			{spec: datagramSpec{id: 1}, from: 800, to: 1600, want: held},
			{spec: datagramSpec{id: 2}, from: 0, to: 800},
			{spec: datagramSpec{id: 3}, from: 0, to: 800},
			{spec: datagramSpec{id: 4}, from: 800, to: 1600, want: held},
			{spec: datagramSpec{id: 5}, from: 0, to: 800, want: drop, reason: packet.FragmentLimit},
			{spec: datagramSpec{id: 6}, from: 800, to: 1600, want: drop, reason: packet.FragmentLimit},
			{spec: datagramSpec{id: 1}, from: 0, to: 800, release: []packet.Index{1}},
		}},
	}
	for _, r := range rows {
		t.Run(r.why, func(t *testing.T) {
			b := newFragmentBox(t, r.cfg)
			for i, o := range r.then {
				v, release, reason := b.offer(t, packet.Index(i+1), o.spec.fragment(o.from, o.to, !o.last), o.at)
				require.Equal(t, o.want, v, "fragment %d", i+1)
				require.Equal(t, o.reason, reason, "fragment %d", i+1)
				require.ElementsMatch(t, o.release, release, "fragment %d", i+1)
				if v == FragmentPass && o.from != 0 {
					require.Equal(t, packet.MakeTail(7, packet.ProtoUDP, o.sport, 53), b.in.Key.Tail, "fragment %d", i+1)
					require.EqualValues(t, packet.ProtoUDP, b.in.Proto)
				}
			}
		})
	}
}

// Every order of the pieces of the largest datagram that 1500-octet links make
// fits the runs; here the worst, in which no two pieces touch until half of
// them are there.
func TestFragmentsOfTheLargestDatagram(t *testing.T) {
	const size, total = 1480, 65515
	spec := datagramSpec{id: 1, sport: 5}
	for _, every := range []int{1, 2, 3} {
		b := newFragmentBox(t, FragmentConfig{})
		back := 0
		for start := every - 1; start >= 0; start-- {
			for from := start * size; from < total; from += every * size {
				v, release, reason := b.offer(t, 1, spec.fragment(from, min(from+size, total), from+size < total), 0)
				require.NotEqual(t, FragmentDrop, v, "from %d: %s", from, reason)
				back += len(release)
			}
		}
		require.Zero(t, b.f.Held())
		_, datagrams := b.count()
		require.Equal(t, [numDatagramStates]int{complete: 1}, datagrams)
		if every > 1 {
			require.Positive(t, back)
		}
	}
}

// Fragments are told apart by zone: tenants use the same addresses.
func TestFragmentsOfZones(t *testing.T) {
	b := newFragmentBox(t, FragmentConfig{})
	spec := datagramSpec{id: 1, sport: 5}
	v, _, _ := b.offer(t, 1, spec.fragment(0, 800, true), 0)
	require.Equal(t, FragmentPass, v)
	b.zone = 8
	v, _, _ = b.offer(t, 2, spec.fragment(800, 1600, true), 0)
	require.Equal(t, FragmentHeld, v)
}

func TestFragmentsExpire(t *testing.T) {
	b := newFragmentBox(t, FragmentConfig{HoldTimeoutNs: 100, TimeoutNs: 1000})
	for i := range 10 {
		spec := datagramSpec{id: uint32(i % 2)}
		v, _, _ := b.offer(t, packet.Index(i+1), spec.fragment(800+8*i, 808+8*i, true), int64(i))
		require.Equal(t, FragmentHeld, v)
	}
	known := datagramSpec{id: 99}
	b.offer(t, 99, known.fragment(0, 800, true), 0)

	out := make([]packet.Index, 4)
	require.Zero(t, b.f.Expire(99, out))
	require.Equal(t, 10, b.f.Held())
	require.Equal(t, 4, b.f.Expire(100, out), "no more than there is room for")
	require.Equal(t, []packet.Index{1, 3, 5, 7}, out)
	require.Equal(t, 1, b.f.Expire(100, out))
	require.Equal(t, packet.Index(9), out[0])
	require.Equal(t, 5, b.f.Held())
	require.Equal(t, 4, b.f.Expire(101, out))
	require.Equal(t, 1, b.f.Expire(101, out))
	require.Zero(t, b.f.Expire(999, out))
	_, datagrams := b.count()
	require.Equal(t, [numDatagramStates]int{open: 1}, datagrams)
	require.Zero(t, b.f.Expire(1000, out))
	free, _ := b.count()
	require.Equal(t, b.f.cfg.Datagrams, free)

	for i := range 3 {
		spec := datagramSpec{id: uint32(i)}
		b.offer(t, packet.Index(i+1), spec.fragment(800, 808, true), 5000)
	}
	require.Equal(t, 3, b.f.Expire(math.MaxInt64, out), "everything at the end")
	require.Zero(t, b.f.Held())
}

// count walks the whole memory: datagrams not in use, and in each state. It
// fails by panic or by not ending if a list is broken.
func (b *fragmentBox) count() (free int, states [numDatagramStates]int) {
	for i := range b.f.stripes {
		s := &b.f.stripes[i]
		for d := s.free; d != 0; d = s.datagrams[d].next {
			free++
		}
		for st := range s.lists {
			var before uint32
			for d := s.lists[st].oldest; d != 0; d = s.datagrams[d].newer {
				if s.datagrams[d].older != before || int(s.datagrams[d].state) != st {
					panic("list is broken")
				}
				before = d
				states[st]++
			}
		}
	}
	return free, states
}

func TestFragmentsConfig(t *testing.T) {
	_, err := NewFragments(FragmentConfig{Datagrams: -1, HeldPerDatagram: 65, Held: 1 << 25, PerSource: -1, TimeoutNs: -1, HoldTimeoutNs: -1})
	for _, name := range []string{"Datagrams", "HeldPerDatagram", "Held ", "PerSource", "TimeoutNs", "HoldTimeoutNs"} {
		require.ErrorContains(t, err, name)
	}
	f, err := NewFragments(FragmentConfig{Datagrams: 1000, Held: 777})
	require.NoError(t, err)
	datagrams, held := 0, 0
	for i := range f.stripes {
		datagrams += len(f.stripes[i].datagrams) - 1
		held += len(f.stripes[i].slots) - 1
	}
	require.Equal(t, []int{1000, 777}, []int{datagrams, held}, "nothing is lost to the stripes")
}

func TestFragmentsDoNotAllocate(t *testing.T) {
	b := newFragmentBox(t, FragmentConfig{})
	spec := datagramSpec{id: 1}
	frames := [][]byte{spec.fragment(800, 1600, true), spec.fragment(0, 800, true), spec.fragment(1600, 1700, false)}
	infos := make([]packet.Info, len(frames))
	out := make([]packet.Index, 8)
	n := int64(0)
	require.Zero(t, testing.AllocsPerRun(1000, func() {
		n++
		for i, frame := range frames {
			packet.Parse(frame, &infos[i])
			infos[i].FragID = uint32(n)
			b.f.Offer(packet.Index(i+1), &infos[i], frame, n*1000, &b.release)
		}
		b.f.Expire(n*1000, out)
	}))
}

// A fragment's length fields are the sender's word; whatever they say, nothing
// is read outside the frame.
func FuzzFragmentRange(f *testing.F) {
	for _, s := range []datagramSpec{{id: 1}, {v6: true, id: 1}, {v6: true, id: 1, opts: true}} {
		f.Add(s.fragment(0, 64, true), uint16(0), uint32(0))
		f.Add(s.fragment(64, 128, false), uint16(0), uint32(0))
	}
	f.Fuzz(func(t *testing.T, frame []byte, l4 uint16, size uint32) {
		var in packet.Info
		if packet.Parse(frame, &in) == packet.None && in.Has(packet.IsFragment) {
			from, to, _, ok := fragmentRange(&in, frame)
			require.True(t, !ok || from < to)
		}
		in.L4, in.IPLen = l4, size
		fragmentRange(&in, frame)
		in.Flags ^= packet.IsIPv4 | packet.IsIPv6
		fragmentRange(&in, frame)
	})
}
