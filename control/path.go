package control

import (
	"strconv"
	"strings"
)

// path is where a walker is: "spec.ports[0].name", "metadata.labels[app]". Its text is
// made where a fault needs it, its hash is always there.
type path struct {
	steps []step
	hash  pathHash
}

// step leads from a value to one in it.
type step struct {
	name  string // of a field, or a mapping's key; empty in a list
	index int    // in a list
	kind  stepKind
}

type stepKind uint8

const (
	fieldStep stepKind = iota
	keyStep
	indexStep
)

// pathHash is FNV-1a of a path's text, which goes on where the hash of its beginning
// ended. A collision costs a fault its exact place and nothing else.
type pathHash uint32

const (
	emptyPath pathHash = 2166136261
	fnvPrime  pathHash = 16777619
)

func (h pathHash) add(text string) pathHash {
	for i := range len(text) {
		h = (h ^ pathHash(text[i])) * fnvPrime
	}
	return h
}

func hashPath(path string) pathHash { return emptyPath.add(path) }

func newPath() path { return path{hash: emptyPath} }

// enterField goes to a field of a struct, and returns what leave wants.
func (p *path) enterField(name string) (before pathHash) {
	before = p.hash
	if len(p.steps) > 0 {
		p.hash = p.hash.add(".")
	}
	p.hash = p.hash.add(cleanKey(name))
	p.steps = append(p.steps, step{name: name, kind: fieldStep})
	return before
}

// enterKey goes to the value of a mapping's key.
func (p *path) enterKey(key string) (before pathHash) {
	before = p.hash
	p.hash = p.hash.add("[").add(cleanKey(key)).add("]")
	p.steps = append(p.steps, step{name: key, kind: keyStep})
	return before
}

// enterIndex goes to an element of a list.
func (p *path) enterIndex(i int) (before pathHash) {
	before = p.hash
	var digits [20]byte
	p.hash = p.hash.add("[")
	for _, d := range strconv.AppendInt(digits[:0], int64(i), 10) {
		p.hash = (p.hash ^ pathHash(d)) * fnvPrime
	}
	p.hash = p.hash.add("]")
	p.steps = append(p.steps, step{index: i, kind: indexStep})
	return before
}

// leave goes back by one step.
func (p *path) leave(before pathHash) {
	p.steps = p.steps[:len(p.steps)-1]
	p.hash = before
}

func (p *path) depth() int { return len(p.steps) }

// inList reports whether the value is an element of a list or of a mapping with any keys.
func (p *path) inList() bool { return len(p.steps) > 0 && p.steps[len(p.steps)-1].kind != fieldStep }

// isIn reports whether the path begins with one of these fields.
func (p *path) isIn(fields ...string) bool {
	for _, f := range fields {
		if len(p.steps) > 0 && p.steps[0].name == f {
			return true
		}
	}
	return false
}

// isStatus reports whether the path is that of the status or of a field right in it.
func (p *path) isStatus() bool { return p.isIn("status") && len(p.steps) <= 2 }

func (p *path) String() string {
	var b strings.Builder
	for i, s := range p.steps {
		switch s.kind {
		case fieldStep:
			if i > 0 {
				b.WriteByte('.')
			}
			b.WriteString(cleanKey(s.name))
		case keyStep:
			b.WriteString("[" + cleanKey(s.name) + "]")
		case indexStep:
			b.WriteString("[" + strconv.Itoa(s.index) + "]")
		}
	}
	return b.String()
}
