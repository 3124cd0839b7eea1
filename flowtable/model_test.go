package flowtable

import (
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluice-net/sluice/packet"
)

// modelSession is what the model knows of a session.
type modelSession struct {
	id       ID
	key      packet.Key
	start    int64
	last     int64
	answered bool
	several  bool
	packets  [2]uint64
}

// timeout is the UDP timers by what was seen.
func (s *modelSession) timeout() int64 {
	d := DefaultTimers()
	switch {
	case s.answered:
		return d.UDPMultiple * second
	case s.several:
		return d.UDPSingle * second
	}
	return d.UDPFirstPacket * second
}

// model is the table as a map, and the records that are to come.
type model struct {
	t        *testing.T
	table    *Table
	w        *Worker
	now      int64
	sessions map[int]*modelSession // by flow
	records  map[ID]Record         // ended, record not seen yet
}

func (m *model) packet(flow int, d Dir) {
	key := flowKey(flow)
	if d == Reply {
		key = reverse(key)
	}
	in := infoOf(key)
	s := m.sessions[flow]
	id := m.table.Lookup(&key)
	if s == nil {
		require.Zero(m.t, id)
		if d == Reply {
			return // what the other end would begin is flow's reverse: not in the model
		}
		id = create(m.t, m.w, key, m.now)
		s = &modelSession{id: id, key: key, start: m.now}
		m.sessions[flow] = s
	} else {
		require.Equal(m.t, s.id|ID(d), id)
		r, reopened := m.w.Track(id, &in, nil, m.now)
		require.Equal(m.t, packet.None, r)
		require.False(m.t, reopened)
		s.several = true
		s.answered = s.answered || d == Reply
	}
	m.table.Entry(id).Count(100, m.now)
	s.packets[d]++
	s.last = m.now
}

func (m *model) ended(flow int, why EndReason) {
	s := m.sessions[flow]
	delete(m.sessions, flow)
	m.records[s.id] = Record{Keys: [2]packet.Key{s.key, reverse(s.key)}, Packets: s.packets, Start: s.start, Last: s.last, End: m.now, Reason: why}
}

func (m *model) sweep() {
	m.w.SweepAll(m.now)
	for flow, s := range m.sessions {
		if s.last+s.timeout() <= m.now {
			m.ended(flow, EndTimeout)
		}
	}
}

// quiesce recycles, and compares the records with those expected. A session
// that Quiesce's own sweep ends is one that the model's would.
func (m *model) quiesce() {
	m.sweep()
	m.w.Quiesce(m.now)
	var r Record
	for m.w.Records().Pop(&r) {
		want, found := m.records[ID(r.Session<<1)]
		require.True(m.t, found, "a record of a session that did not end: %+v", r)
		delete(m.records, ID(r.Session<<1))
		got := Record{Keys: r.Keys, Packets: r.Packets, Start: r.Start, Last: r.Last, End: r.End, Reason: r.Reason}
		require.Equal(m.t, want, got)
	}
}

func (m *model) check() {
	require.Equal(m.t, len(m.sessions), m.table.Stats().Live)
	listed := map[packet.Key]bool{}
	for r := range m.table.Sessions {
		listed[r.Keys[Original]] = true
	}
	require.Len(m.t, listed, len(m.sessions))
	for _, s := range m.sessions {
		require.True(m.t, listed[s.key])
	}
}

// TestTableModel compares the table with a map over random packets of both
// directions, ends, sweeps and jumps of time.
func TestTableModel(t *testing.T) {
	const flows, steps = 700, 150_000
	table := newTable(t, Config{Sessions: flows, Records: 1 << 12})
	m := &model{
		t: t, table: table, w: table.Worker(0), now: 1_700_000_000 * second,
		sessions: map[int]*modelSession{}, records: map[ID]Record{},
	}
	rng := rand.New(rand.NewPCG(5, 5))
	for i := range steps {
		m.now += rng.Int64N(10_000_000)
		flow := rng.IntN(flows)
		switch op := rng.IntN(100); {
		case op < 60:
			m.packet(flow, Original)
		case op < 85:
			m.packet(flow, Reply)
		case op < 92:
			if s := m.sessions[flow]; s != nil {
				require.True(t, m.w.End(s.id|ID(rng.IntN(2)), EndCleared, m.now))
				m.ended(flow, EndCleared)
			}
		case op < 99:
			m.quiesce()
		default:
			m.sweep()
		}
		if i%5000 == 0 {
			m.now += rng.Int64N(100) * second
			m.sweep()
			m.check()
		}
	}
	m.now += 1000 * second
	m.quiesce()
	for range 3 {
		m.quiesce()
	}
	m.check()
	require.Empty(t, m.sessions)
	require.Empty(t, m.records, "every session that ended has left a record")
	require.Zero(t, table.Stats().Lost)
	for i := range table.index.mask + 1 {
		require.Equal(t, [2]uint64{}, table.index.at(i).fp)
	}
}
