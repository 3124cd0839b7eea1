package affinity

import "github.com/sluice-net/sluice/packet"

// Entry is a client that is remembered.
type Entry struct {
	Affinity uint32 // service.Affinity's ID
	Client   packet.Addr
	Scope    uint32
	Member   uint32 // ID
	Last     int64  // connection, ns
	Until    int64  // ns: it is remembered, if there is no other connection
}

// List returns all clients that are remembered at a time, in no order. It looks at the whole table, and disturbs no worker.
func (t *Table) List(now int64) []Entry {
	var all []Entry
	t.each(now, func(e Entry) { all = append(all, e) })
	return all
}

// Len returns how many clients are remembered at a time. It looks at the whole table.
func (t *Table) Len(now int64) int {
	n := 0
	t.each(now, func(Entry) { n++ })
	return n
}

func (t *Table) each(now int64, visit func(Entry)) {
	var seen [ways]Entry
	for i := range t.buckets {
		for _, e := range t.buckets[i].list(now, &seen) {
			visit(e)
		}
	}
}

// list returns what is in the bucket, in room of the caller's; nothing if it is changed all the time.
func (b *bucket) list(now int64, room *[ways]Entry) []Entry {
	for range patience {
		version := b.version.Load()
		if version&1 != 0 {
			continue
		}
		n := 0
		for i := range b.tags {
			s := &b.slots[i]
			if b.tags[i].Load() == 0 || s.over(now) {
				continue
			}
			owner, last := s.owner.Load(), s.last.Load()
			room[n] = Entry{
				Affinity: uint32(owner >> 32), Scope: uint32(owner),
				Client: packet.Addr{s.client[0].Load(), s.client[1].Load()},
				Member: s.member.Load(), Last: last, Until: last + s.timeout.Load(),
			}
			n++
		}
		if b.version.Load() == version {
			return room[:n]
		}
	}
	return nil
}

// Drop forgets the clients of members that are gone, so that whoever gets such a member's ID later
// does not inherit them. It looks at the whole table.
func (t *Table) Drop(gone func(member uint32) bool) {
	for i := range t.buckets {
		b := &t.buckets[i]
		for w := range b.tags {
			if b.tags[w].Load() == 0 || !gone(b.slots[w].member.Load()) || !b.open() {
				continue
			}
			if gone(b.slots[w].member.Load()) { // it may have become another's
				b.tags[w].Store(0)
			}
			b.close()
		}
	}
}

// Counts are clients that there was no room for.
type Counts struct {
	Purged  uint64 // gave way to others
	Refused uint64 // were not remembered
}

// Counts returns the counts since the beginning.
func (t *Table) Counts() Counts { return Counts{Purged: t.purged.Load(), Refused: t.refused.Load()} }
