package pcap

import "io"

// Queue is a Source that frames are put into: from memory in tests, or one by
// one from a capture whose frames are for several ports. It is for one
// goroutine at a time. The zero Queue is empty.
type Queue struct {
	frames []Frame
	next   int // of frames

	// Copies of frames go to slab. Once all of them have been given out, spare
	// takes its place, so that the frame given out last stays as it is.
	slab, spare []byte
}

// Push appends a copy of f.
func (q *Queue) Push(f *Frame) {
	if q.next == len(q.frames) {
		q.frames, q.next = q.frames[:0], 0
		q.slab, q.spare = q.spare[:0], q.slab
	}
	// A slab that grows moves; frames in the old one keep it alive.
	start := len(q.slab)
	q.slab = append(q.slab, f.Data...)
	g := *f
	g.Data = q.slab[start:len(q.slab):len(q.slab)]
	q.frames = append(q.frames, g)
}

// Len returns how many frames wait.
func (q *Queue) Len() int { return len(q.frames) - q.next }

// Next returns the oldest frame, or io.EOF if there is none now.
func (q *Queue) Next(f *Frame) error {
	if q.next == len(q.frames) {
		return io.EOF
	}
	*f = q.frames[q.next]
	q.next++
	return nil
}
