//go:build !race

package flowtable

import (
	"syscall"
	"unsafe"
)

const (
	pageSize     = 4096
	hugePageSize = 2 << 20

	madvHugepage      = 14 // MADV_HUGEPAGE
	madvPopulateWrite = 23 // MADV_POPULATE_WRITE, Linux 5.14
)

// memory is zeroed, pointer-free memory outside the Go heap: the collector
// neither scans it nor counts it, so ten million sessions add nothing to a
// garbage collection cycle. It starts on a cache line, and on a huge page if it
// is as large as one: random access to gigabytes on 4 KiB pages pays for a TLB
// miss with every line.
type memory struct {
	base   unsafe.Pointer
	size   int    // bytes asked for
	mapped []byte // whole mapping, as syscall.Munmap wants it back
}

// newMemory maps size bytes. With prefault every page is there when it
// returns; otherwise the first packet that needs a page waits for it (6.5 us).
func newMemory(size int, prefault bool) (memory, error) {
	room := (size + pageSize - 1) &^ (pageSize - 1)
	huge := room >= hugePageSize
	if huge {
		room += hugePageSize // to start on a boundary; what is left over is never touched
	}
	b, err := syscall.Mmap(-1, 0, room, syscall.PROT_READ|syscall.PROT_WRITE,
		syscall.MAP_ANONYMOUS|syscall.MAP_PRIVATE|syscall.MAP_NORESERVE)
	if err != nil {
		return memory{}, err
	}
	m := memory{base: unsafe.Pointer(unsafe.SliceData(b)), size: size, mapped: b}
	if huge {
		skip := -uintptr(m.base) & (hugePageSize - 1)
		m.base = unsafe.Add(m.base, skip)
		b = b[skip : int(skip)+size]
		// Advice: without it everything works, on small pages.
		_ = syscall.Madvise(b, madvHugepage)
	}
	if prefault && syscall.Madvise(b, madvPopulateWrite) != nil {
		for i := 0; i < len(b); i += pageSize {
			b[i] = 0
		}
	}
	return m, nil
}

func (m *memory) close() error {
	if m.mapped == nil {
		return nil
	}
	err := syscall.Munmap(m.mapped)
	*m = memory{}
	return err
}
