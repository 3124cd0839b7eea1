package logging

import (
	"bytes"
	"sync"
)

// tail keeps the last lines, within a number of lines and of bytes.
//
//	lines: [ … next oldest … newest … ]   a ring; n of them from first on are valid
type tail struct {
	mu        sync.Mutex
	lines     [][]byte // nil where there is none; shared with the outlet, so never written
	first, n  int
	size      int // bytes of the lines
	mostBytes int
}

func newTail(lines, size int) *tail { return &tail{lines: make([][]byte, lines), mostBytes: size} }

// add keeps a line, which nobody changes any more. One that is longer than a
// quarter of all that is kept is cut, lest it pushes out what led to it.
func (t *tail) add(line []byte) {
	line = bytes.TrimSuffix(line, []byte("\n"))
	if most := t.mostBytes / 4; len(line) > most {
		line = append(bytes.Clone(line[:most]), " … (cut)"...)
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	for t.n == len(t.lines) || t.n > 0 && t.size+len(line) > t.mostBytes {
		t.size -= len(t.lines[t.first])
		t.lines[t.first] = nil
		t.first = (t.first + 1) % len(t.lines)
		t.n--
	}
	t.lines[(t.first+t.n)%len(t.lines)] = line
	t.n++
	t.size += len(line)
}

// last returns the last lines, most at most, oldest first.
func (t *tail) last(most int) []string {
	t.mu.Lock()
	defer t.mu.Unlock()
	n := min(t.n, max(most, 0))
	lines := make([]string, n)
	for i := range lines {
		lines[i] = string(t.lines[(t.first+t.n-n+i)%len(t.lines)])
	}
	return lines
}
