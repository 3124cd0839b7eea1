package packet

// cacheSize is the most ordinary buffers a Cache keeps: several vectors of 64,
// so that a worker that receives and frees by vectors seldom takes the lock.
const cacheSize = 512

// Cache is one worker's private list of free buffers: Alloc and Free touch
// no shared memory until it runs empty or full. Last in, first out: the buffer
// freed last is the one whose lines are still in the processor's cache.
//
// A Cache belongs to one goroutine at a time. Flush it before it is dropped.
// A debugging Arena bypasses it: both stacks stay empty and have no limit to
// fill, so the checks sit on the slow path and cost nothing when off.
type Cache struct {
	arena  *Arena
	n      int
	limit  int    // of n; 0 in debug mode
	plain  uint32 // a.n: indices 1..plain are ordinary; 0 in debug mode
	stack  [cacheSize]Index
	supers superStack
}

// superStack keeps few buffers: each is as dear as 32 ordinary ones.
type superStack struct {
	n     int
	limit int
	stack [superCacheSize]Index
}

const superCacheSize = 32

// NewCache returns an empty cache. An eighth of the buffers is the most that
// it keeps: small arenas shall not starve one worker because another idles.
func (a *Arena) NewCache() *Cache {
	c := &Cache{arena: a}
	if a.debug == nil {
		c.plain = a.n
		c.limit = min(max(int(a.n)/8, 1), cacheSize)
		c.supers.limit = min(int(a.supers)/8, superCacheSize)
	}
	return c
}

// Arena returns the arena that c allocates from.
func (c *Cache) Arena() *Arena { return c.arena }

// Alloc gives an ordinary buffer with an empty frame after the headroom to the
// caller, or 0 if all are in use.
func (c *Cache) Alloc() Index {
	if c.n == 0 && !c.refill() {
		return c.allocShared()
	}
	c.n--
	i := c.stack[c.n&(cacheSize-1)]
	*c.arena.Meta(i) = Meta{Off: (uint32(i)-1)<<c.arena.shift + Headroom}
	return i
}

// AllocN fills out with ordinary buffers as Alloc gives them and returns how
// many there were.
func (c *Cache) AllocN(out []Index) int {
	a := c.arena
	for n := 0; n < len(out); {
		if c.n == 0 && !c.refill() {
			if out[n] = c.allocShared(); out[n] == 0 {
				return n
			}
			n++
			continue
		}
		// A run at once: 30 % less than as many calls of Alloc.
		k := min(c.n, len(out)-n)
		c.n -= k
		run := c.stack[c.n : c.n+k]
		for j, i := range run {
			out[n+j] = i
			*a.Meta(i) = Meta{Off: (uint32(i)-1)<<a.shift + Headroom}
		}
		n += k
	}
	return len(out)
}

// AllocSuper gives a super-frame buffer, or 0 if all are in use.
func (c *Cache) AllocSuper() Index {
	s := &c.supers
	if s.n == 0 {
		return c.allocSuperShared()
	}
	s.n--
	i := s.stack[s.n&(superCacheSize-1)]
	c.arena.resetMeta(i)
	return i
}

// AllocFor gives the smallest buffer that takes a frame of size bytes, or 0 if
// all of that kind are in use or none is as large.
func (c *Cache) AllocFor(size int) Index {
	switch {
	case size <= c.arena.cfg.BufferSize-Headroom:
		return c.Alloc()
	case size <= c.arena.cfg.SuperSize-Headroom:
		return c.AllocSuper()
	default:
		return 0
	}
}

// allocFor fills out with buffers for frames of size bytes each and returns how
// many there were.
func (c *Cache) allocFor(out []Index, size int) (n int) {
	if size <= c.arena.cfg.BufferSize-Headroom {
		return c.AllocN(out)
	}
	for ; n < len(out); n++ {
		if out[n] = c.AllocSuper(); out[n] == 0 {
			break
		}
	}
	return n
}

// Clone copies frame and Meta of i, which stays the caller's, into a new
// buffer. It returns 0 if there is none.
func (c *Cache) Clone(i Index) Index {
	a := c.arena
	from := a.Meta(i)
	k := c.AllocFor(int(from.Len))
	if k == 0 {
		return 0
	}
	to := a.Meta(k)
	off := to.Off
	*to = *from
	to.Off = off
	copy(a.Frame(k), a.Frame(i))
	return k
}

// Free takes buffer i back from its owner. Free(0) does nothing.
func (c *Cache) Free(i Index) {
	// i == 0 wraps around and goes the slow way, like super-frames.
	if uint32(i)-1 >= c.plain || c.n >= c.limit && !c.spill() {
		c.freeSlow(i)
		return
	}
	c.stack[c.n&(cacheSize-1)] = i
	c.n++
}

// FreeN is Free of each of bufs; zeros are skipped.
func (c *Cache) FreeN(bufs []Index) {
	for _, i := range bufs {
		c.Free(i)
	}
}

// Flush gives all cached buffers back to the arena.
func (c *Cache) Flush() {
	a := c.arena
	a.mu.Lock()
	a.free = append(a.free, c.stack[:c.n]...)
	a.freeSuper = append(a.freeSuper, c.supers.stack[:c.supers.n]...)
	a.mu.Unlock()
	c.n, c.supers.n = 0, 0
}

// refill takes up to half a cache from the arena; it reports false if there
// is none or the arena is a debugging one.
func (c *Cache) refill() bool {
	a := c.arena
	if a.debug != nil {
		return false
	}
	a.mu.Lock()
	k := min((c.limit+1)/2, len(a.free))
	c.n = copy(c.stack[:k], a.free[len(a.free)-k:])
	a.free = a.free[:len(a.free)-k]
	a.mu.Unlock()
	return c.n > 0
}

// spill gives the half of a full cache that was freed longest ago to the
// arena. It reports whether there is room now.
func (c *Cache) spill() bool {
	a := c.arena
	k := (c.limit + 1) / 2
	if k == 0 {
		return false
	}
	a.mu.Lock()
	a.free = append(a.free, c.stack[:k]...) // within its capacity, which is all buffers
	a.mu.Unlock()
	c.n = copy(c.stack[:], c.stack[k:c.n])
	return true
}

// allocShared is what is left when the cache cannot be refilled: nothing, or
// the debugging arena's checked allocation.
func (c *Cache) allocShared() Index {
	if a := c.arena; a.debug != nil {
		return a.debug.alloc(&a.debug.free)
	}
	return 0
}

func (c *Cache) allocSuperShared() Index {
	a, s := c.arena, &c.supers
	if a.debug != nil {
		return a.debug.alloc(&a.debug.freeSuper)
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	n := len(a.freeSuper)
	if n == 0 {
		return 0
	}
	i := a.freeSuper[n-1]
	n--
	// The rest of half a cache comes along.
	k := min(s.limit/2, n)
	s.n = copy(s.stack[:k], a.freeSuper[n-k:n])
	a.freeSuper = a.freeSuper[:n-k]
	a.resetMeta(i)
	return i
}

// freeSlow frees super-frames, and everything in debug mode. An index that is
// none of the arena's is a bug that the debug mode reports; otherwise it is
// ignored, because on the free list it would become a wild pointer.
func (c *Cache) freeSlow(i Index) {
	a, s := c.arena, &c.supers
	switch {
	case i == 0:
	case a.debug != nil:
		a.debug.release(i)
	case uint32(i) > a.n+a.supers:
	case s.n < s.limit:
		s.stack[s.n&(superCacheSize-1)] = i
		s.n++
	default:
		a.mu.Lock()
		k := (s.n + 1) / 2
		a.freeSuper = append(append(a.freeSuper, s.stack[:k]...), i)
		a.mu.Unlock()
		s.n = copy(s.stack[:], s.stack[k:s.n])
	}
}

// resetMeta describes an empty frame after the headroom.
func (a *Arena) resetMeta(i Index) {
	*a.Meta(i) = Meta{Off: a.BufferOffset(i) + Headroom}
}
