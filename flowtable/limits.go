package flowtable

import (
	"sync/atomic"

	"github.com/sluice-net/sluice/packet"
)

// census counts sessions, exactly, as they are admitted and dismissed.
type census struct {
	_     [lineSize]byte
	live  atomic.Int64
	_     [lineSize - 8]byte
	hand  atomic.Uint32 // of evict's sample
	_     [lineSize - 4]byte
	count [numFamilies]struct {
		class [3]atomic.Int64
		_     [lineSize - 24]byte
	}
}

func (c *census) move(f Family, from, to class) {
	c.count[f].class[from].Add(-1)
	c.count[f].class[to].Add(1)
}

// charged returns how many sessions count against the cap of a family.
func (c *census) charged(f Family) int64 {
	count := &c.count[f].class
	if f == FamilyTCP {
		return count[classEmbryonic].Load()
	}
	return count[classEmbryonic].Load() + count[classEstablished].Load() + count[classClosing].Load()
}

// admit counts a session that is to begin, or says why it may not. Every count
// is raised before it is compared, so that two workers cannot both take the
// last place.
func (w *Worker) admit(original *packet.Key, c class, f Family, caps [2]uint16, now int64) packet.Reason {
	t := w.t
	if t.sources != nil && !t.sources.Add(original.Src, original.Zone()) {
		return packet.SourceLimit
	}
	if caps != [2]uint16{} && !w.charge(caps, c, f, now) {
		if t.sources != nil {
			t.sources.Remove(original.Src, original.Zone())
		}
		return packet.FloodLimit
	}
	t.census.count[f].class[c].Add(1)
	live := t.census.live.Add(1)
	nearlyFull := live >= int64(t.cfg.Sessions)/8*7
	if q := queueOf(c, f); q != noQueue && (nearlyFull || t.caps[f] > 0) {
		t.first(q, trimPerCreate)
	}
	capped := t.caps[f] > 0 && (f != FamilyTCP || c == classEmbryonic)
	full := capped && t.census.charged(f) > t.caps[f] && !w.evict(f, now)
	if nearlyFull && !full {
		t.first(queueClosing, trimPerCreate)
		// An eviction for the family's sake has made room here too.
		full = t.census.live.Load() > int64(t.cfg.Sessions) && !w.evict(numFamilies, now)
	}
	if full {
		t.dismiss(original, c, f, caps)
		return packet.SessionTableFull
	}
	return packet.None
}

// dismiss is the inverse of admit.
func (t *Table) dismiss(original *packet.Key, c class, f Family, caps [2]uint16) {
	t.census.count[f].class[c].Add(-1)
	t.census.live.Add(-1)
	if t.sources != nil {
		t.sources.Remove(original.Src, original.Zone())
	}
	if caps != [2]uint16{} {
		t.discharge(caps, c, f)
	}
}
