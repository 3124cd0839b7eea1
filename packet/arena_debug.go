package packet

import (
	"fmt"
	"runtime"
	"strings"
	"unsafe"
)

// debugState is a debugging Arena's book of its buffers. Freed buffers are
// filled with poison and reused first in, first out, so that a stale owner has
// the longest time to be caught. Everything is guarded by Arena.mu.
type debugState struct {
	arena           *Arena
	free, freeSuper queue
	inUse           int
	record          []bufferRecord // by index
}

// bufferRecord says whose a buffer is and who had it last.
type bufferRecord struct {
	live  bool
	alloc callers // of the last Alloc; valid iff ever allocated
	freed callers // of the last Free; valid iff ever freed
}

type callers [16]uintptr

// poison is what a free buffer holds: no MAC address, EtherType or pointer
// that anything would take for good.
const poison = 0xa5

// Leak is a buffer that somebody owns.
type Leak struct {
	Index Index
	Len   uint32 // of the frame
	Stack string // of the goroutine that allocated it, innermost first, a line each
}

func newDebugState(a *Arena) *debugState {
	d := &debugState{arena: a, record: make([]bufferRecord, a.n+a.supers+1)}
	d.free.ring, d.freeSuper.ring = make([]Index, a.n), make([]Index, a.supers)
	for i := Index(1); i <= Index(a.n+a.supers); i++ {
		fill(a.buffer(i), poison)
		d.queue(i).push(i)
	}
	return d
}

// Check panics unless i is a buffer of a that is in use and whose Meta stays
// within it. It does nothing without ArenaConfig.Debug.
func (a *Arena) Check(i Index) {
	d := a.debug
	if d == nil {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	d.mustBeLive(i, "use")
	m, start, end := a.Meta(i), uint64(a.BufferOffset(i)), uint64(a.bufferEnd(i))
	if off := uint64(m.Off); off < start || off+uint64(m.Len) > end {
		panic(fmt.Sprintf("packet: frame [%d,+%d) of buffer %d is outside [%d,%d)", off, m.Len, i, start, end))
	}
}

// Leaks returns the buffers in use, lowest index first; nil without
// ArenaConfig.Debug.
func (a *Arena) Leaks() []Leak {
	d := a.debug
	if d == nil {
		return nil
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	var leaks []Leak
	for i := range d.record {
		if r := &d.record[i]; r.live {
			leaks = append(leaks, Leak{Index: Index(i), Len: a.Meta(Index(i)).Len, Stack: r.alloc.String()})
		}
	}
	return leaks
}

// alloc is the checked allocation: 0 if q is empty.
func (d *debugState) alloc(q *queue) Index {
	a := d.arena
	a.mu.Lock()
	defer a.mu.Unlock()
	i := q.pop()
	if i == 0 {
		return 0
	}
	r := &d.record[i]
	for off, b := range a.buffer(i) {
		if b != poison {
			panic(fmt.Sprintf("packet: buffer %d was written at byte %d after it was freed at\n%s", i, off, r.freed))
		}
	}
	r.live = true
	runtime.Callers(3, r.alloc[:])
	d.inUse++
	a.resetMeta(i)
	return i
}

// release is the checked Free.
func (d *debugState) release(i Index) {
	a := d.arena
	a.mu.Lock()
	defer a.mu.Unlock()
	d.mustBeLive(i, "free")
	r := &d.record[i]
	r.live = false
	r.freed = callers{}
	runtime.Callers(3, r.freed[:])
	d.inUse--
	a.resetMeta(i)
	fill(a.buffer(i), poison)
	d.queue(i).push(i)
}

func (d *debugState) mustBeLive(i Index, verb string) {
	switch {
	case i == 0 || int(i) >= len(d.record):
		panic(fmt.Sprintf("packet: %s of buffer %d, which this arena does not have", verb, i))
	case !d.record[i].live:
		panic(fmt.Sprintf("packet: %s of buffer %d, which is free; freed at\n%s", verb, i, d.record[i].freed))
	}
}

func (d *debugState) queue(i Index) *queue {
	if d.arena.IsSuper(i) {
		return &d.freeSuper
	}
	return &d.free
}

// buffer returns all of buffer i, headroom included.
func (a *Arena) buffer(i Index) []byte {
	start := a.BufferOffset(i)
	return unsafe.Slice((*byte)(unsafe.Add(a.base, start)), int(a.bufferEnd(i)-start))
}

func fill(b []byte, v byte) {
	for k := range b {
		b[k] = v
	}
}

func (c callers) String() string {
	if c[0] == 0 {
		return "(never)"
	}
	var sb strings.Builder
	frames := runtime.CallersFrames(c[:])
	for {
		f, more := frames.Next()
		if f.PC != 0 {
			fmt.Fprintf(&sb, "%s %s:%d\n", f.Function, f.File, f.Line)
		}
		if !more {
			return sb.String()
		}
	}
}

// queue is a ring of free buffers, first in, first out. Its ring has room for
// all of its kind.
type queue struct {
	ring []Index
	head int
	n    int
}

func (q *queue) push(i Index) {
	q.ring[(q.head+q.n)%len(q.ring)] = i
	q.n++
}

func (q *queue) pop() Index {
	if q.n == 0 {
		return 0
	}
	i := q.ring[q.head]
	q.head = (q.head + 1) % len(q.ring)
	q.n--
	return i
}
