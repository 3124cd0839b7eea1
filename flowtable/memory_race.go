//go:build race

package flowtable

import "unsafe"

// memory under the race detector is Go memory: the detector does not watch
// mapped pages, neither for races nor for the order that atomics establish.
type memory struct {
	base unsafe.Pointer
	size int
}

func newMemory(size int, _ bool) (memory, error) {
	lines := make([][lineSize]byte, size/lineSize+2)
	skip := -uintptr(unsafe.Pointer(unsafe.SliceData(lines))) & (lineSize - 1)
	return memory{base: unsafe.Add(unsafe.Pointer(unsafe.SliceData(lines)), skip), size: size}, nil
}

func (m *memory) close() error {
	*m = memory{}
	return nil
}
