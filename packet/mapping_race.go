//go:build race

package packet

import "unsafe"

const pageSize = 4096

// mapping under the race detector is Go memory: the detector does not watch
// mapped pages, and two owners of a buffer are the race most worth finding.
type mapping struct {
	mem []byte
}

func newMapping(size int, _ bool) (mapping, error) {
	b := make([]byte, size+pageSize)
	skip := -uintptr(unsafe.Pointer(unsafe.SliceData(b))) & (pageSize - 1)
	return mapping{mem: b[skip:][:size:size]}, nil
}

func (m *mapping) close() error {
	m.mem = nil
	return nil
}

func (m *mapping) pages() string { return "go heap" }
