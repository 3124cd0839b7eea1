//go:build race

package packet

import "unsafe"

const pageSize = 4096

// Mapping under the race detector is Go memory: the detector does not watch
// mapped pages, neither for races nor for the order that atomics establish.
type Mapping struct {
	mem []byte
}

// Map allocates size bytes; prefault is of no use here.
func Map(size int, _ bool) (Mapping, error) {
	b := make([]byte, size+pageSize)
	skip := -uintptr(unsafe.Pointer(unsafe.SliceData(b))) & (pageSize - 1)
	return Mapping{mem: b[skip:][:size:size]}, nil
}

// Populate does nothing: Go has the pages.
func (m *Mapping) Populate(func() bool) {}

// Bytes returns the memory.
func (m *Mapping) Bytes() []byte { return m.mem }

// Base returns the memory's address: the start of a page, and so of a cache line.
func (m *Mapping) Base() unsafe.Pointer { return unsafe.Pointer(unsafe.SliceData(m.mem)) }

// Close lets the memory go.
func (m *Mapping) Close() error {
	m.mem = nil
	return nil
}

// Pages names the kind of page.
func (m *Mapping) Pages() string { return "go heap" }
