package mem

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"sync/atomic"
	"unsafe"

	"github.com/sluice-net/sluice/packet"
)

// GeneratorConfig makes a Generator.
type GeneratorConfig struct {
	Frames [][]byte // what is received, all of one length; copied
	Queues int      // default 1; at most as many as frames
	Seed   uint64   // of the order in which frames come
}

// Generator is a port that always has frames to receive: a fixed set, dealt to
// its queues, in a random order that repeats. What it sends is freed and counted.
//
// It stands in for a NIC, so it does what DMA would, a copy into a buffer, and as
// little else as possible. The images lie in memory in the order in which they
// are sent, one cache line (or several) each:
//
//	queue 0: | image 5 | image 2 | image 7 | image 0 |   queue 1: | image 4 | ...
//	                        ^ next
//
// The order is random so that lookups are, and the memory sequential so that
// the copy is not what a benchmark of a million flows measures.
type Generator struct {
	*Sink // of what it sends

	size   int // of a frame, bytes
	stride int // of an image, bytes; a multiple of lineSize
	queues []generatorQueue
	memory []packet.Mapping // of the images: on huge pages, as what a NIC writes is in the cache
}

const lineSize = 64

// generatorQueue is a queue's part of the images. Only the worker that polls it
// writes it; two cache lines, because processors fetch them in pairs.
type generatorQueue struct {
	images unsafe.Pointer // aligned to lineSize
	next   int            // offset of the next image, bytes
	end    int            // length of all images, bytes

	received atomic.Uint64
	_        [128 - 32]byte
}

var _ = [1]struct{}{}[unsafe.Sizeof(generatorQueue{})-128]

// NewGenerator makes a port; it copies the frames.
func NewGenerator(cfg GeneratorConfig) (*Generator, error) {
	queues := max(cfg.Queues, 1)
	if len(cfg.Frames) < queues {
		return nil, fmt.Errorf("generator: %d frames for %d queues: want at least one each", len(cfg.Frames), queues)
	}
	g := &Generator{Sink: NewSink(queues), size: len(cfg.Frames[0]), queues: make([]generatorQueue, queues)}
	if g.size == 0 {
		return nil, fmt.Errorf("generator: frames are empty")
	}
	g.stride = (g.size + lineSize - 1) &^ (lineSize - 1)
	for i, f := range cfg.Frames {
		if len(f) != g.size {
			return nil, fmt.Errorf("generator: frame %d has %d bytes, frame 0 has %d: want one length", i, len(f), g.size)
		}
	}
	order := rand.New(rand.NewPCG(cfg.Seed, 0)).Perm(len(cfg.Frames))
	for i := range g.queues {
		part := order[i*len(order)/queues : (i+1)*len(order)/queues]
		m, err := packet.Map(len(part)*g.stride, true)
		if err != nil {
			return nil, fmt.Errorf("generator: %w", err)
		}
		g.memory = append(g.memory, m)
		images := m.Bytes()[:len(part)*g.stride]
		for k, frame := range part {
			copy(images[k*g.stride:], cfg.Frames[frame])
		}
		q := &g.queues[i]
		q.images, q.end = unsafe.Pointer(unsafe.SliceData(images)), len(images)
	}
	return g, nil
}

// Close returns the memory of the images.
func (g *Generator) Close() error {
	var errs []error
	for i := range g.memory {
		errs = append(errs, g.memory[i].Close())
	}
	g.memory = nil
	return errors.Join(errs...)
}

// Rx gives as many frames as there are buffers.
func (g *Generator) Rx(q int, c *packet.Cache, bufs []packet.Index) int {
	if q >= len(g.queues) {
		return 0
	}
	s := &g.queues[q]
	var n int
	switch {
	case g.stride == lineSize:
		n = g.receiveLines(s, c, bufs)
	case g.size <= c.Arena().Config().BufferSize-packet.Headroom:
		n = g.receive(s, c, bufs[:c.AllocN(bufs)])
	default:
		n = g.receive(s, c, bufs[:allocSupers(c, bufs, g.size)])
	}
	s.received.Store(s.received.Load() + uint64(n))
	return n
}

// receiveLines is receive for frames of one cache line. The copy is written out:
// for an array of bytes the compiler calls memmove, which costs as much as all
// the rest.
func (g *Generator) receiveLines(s *generatorQueue, c *packet.Cache, bufs []packet.Index) int {
	n := c.AllocN(bufs)
	a, next, size := c.Arena(), s.next, uint32(g.size)
	for _, b := range bufs[:n] {
		a.Meta(b).Len = size
		// The image is padded with zeros and the buffer has room behind the frame.
		from, to := (*[8]uint64)(unsafe.Add(s.images, next)), (*[8]uint64)(a.Data(b))
		to[0], to[1], to[2], to[3] = from[0], from[1], from[2], from[3]
		to[4], to[5], to[6], to[7] = from[4], from[5], from[6], from[7]
		if next += lineSize; next == s.end {
			next = 0
		}
	}
	s.next = next
	return n
}

// receive fills all of bufs, which are allocated.
func (g *Generator) receive(s *generatorQueue, c *packet.Cache, bufs []packet.Index) int {
	a, next := c.Arena(), s.next
	for _, b := range bufs {
		a.Meta(b).Len = uint32(g.size)
		copy(unsafe.Slice((*byte)(a.Data(b)), g.size), unsafe.Slice((*byte)(unsafe.Add(s.images, next)), g.size))
		if next += g.stride; next == s.end {
			next = 0
		}
	}
	s.next = next
	return len(bufs)
}

// allocSupers is AllocN for frames that no ordinary buffer takes.
func allocSupers(c *packet.Cache, bufs []packet.Index, size int) int {
	for i := range bufs {
		if bufs[i] = c.AllocFor(size); bufs[i] == 0 {
			return i
		}
	}
	return len(bufs)
}

// PerQueue returns how many frames a queue has before its order repeats.
func (g *Generator) PerQueue(q int) int { return g.queues[q].end / g.stride }

// Received returns how many frames Rx has given, on all queues.
func (g *Generator) Received() (n uint64) {
	for i := range g.queues {
		n += g.queues[i].received.Load()
	}
	return n
}
