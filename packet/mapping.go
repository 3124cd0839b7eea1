//go:build !race

package packet

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"
	"unsafe"
)

const (
	pageSize     = 4096
	hugePageSize = 2 << 20

	madvHugepage      = 14 // MADV_HUGEPAGE
	madvPopulateWrite = 23 // MADV_POPULATE_WRITE, Linux 5.14
)

// Mapping is page-aligned zeroed memory outside the Go heap: for tables and
// frames that the garbage collector must neither scan nor count. What lies in
// it has no pointers to the heap. Random access to gigabytes on 4 KiB pages would
// pay for a TLB miss with every cache line, so large ones lie on huge pages.
type Mapping struct {
	mem    []byte // usable part
	mapped []byte // whole, as syscall.Munmap wants it back
	kind   pageKind
}

// Bytes returns the memory, until Close: what was asked for, rounded up to whole pages.
func (m *Mapping) Bytes() []byte { return m.mem }

// Base returns the memory's address: the start of a page, and so of a cache line.
func (m *Mapping) Base() unsafe.Pointer { return unsafe.Pointer(unsafe.SliceData(m.mem)) }

type pageKind uint8

const (
	pagesPlain pageKind = iota
	pagesTransparent
	pagesHugetlb
)

// Map maps size bytes on the largest pages to be had: hugetlb, then
// transparent huge pages, then 4 KiB. Anything under one huge page is left to
// small ones. With prefault all pages are touched before it returns.
func Map(size int, prefault bool) (m Mapping, err error) {
	if size >= hugePageSize {
		size = (size + hugePageSize - 1) &^ (hugePageSize - 1)
		if m, err = mapHugetlb(size); err != nil {
			m, err = mapTransparent(size)
		}
	} else {
		m, err = mapAnonymous((size + pageSize - 1) &^ (pageSize - 1))
	}
	if err != nil {
		return Mapping{}, err
	}
	if prefault && syscall.Madvise(m.mem, madvPopulateWrite) != nil {
		for i := 0; i < len(m.mem); i += pageSize {
			m.mem[i] = 0
		}
	}
	return m, nil
}

// Populate has the kernel give all pages now, while others use the memory
// already: it changes no byte. It goes on for as long as more says so, which is asked every
// 2 MiB. Kernels before 5.14 can't, and give pages as they are touched.
func (m *Mapping) Populate(more func() bool) {
	for rest := m.mem; len(rest) > 0 && more(); {
		part := rest[:min(hugePageSize, len(rest))]
		if syscall.Madvise(part, madvPopulateWrite) != nil {
			return
		}
		rest = rest[len(part):]
	}
}

func mapAnonymous(size int) (Mapping, error) {
	b, err := syscall.Mmap(-1, 0, size, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_ANONYMOUS|syscall.MAP_PRIVATE|syscall.MAP_NORESERVE)
	return Mapping{mem: b, mapped: b}, err
}

func mapHugetlb(size int) (Mapping, error) {
	b, err := syscall.Mmap(-1, 0, size, syscall.PROT_READ|syscall.PROT_WRITE,
		syscall.MAP_ANONYMOUS|syscall.MAP_PRIVATE|syscall.MAP_HUGETLB)
	return Mapping{mem: b, mapped: b, kind: pagesHugetlb}, err
}

// mapTransparent maps a huge page too much, to start on a huge page boundary:
// the kernel builds huge pages only from aligned ranges. The rest stays
// untouched and costs address space only.
func mapTransparent(size int) (Mapping, error) {
	m, err := mapAnonymous(size + hugePageSize)
	if err != nil {
		return mapAnonymous(size)
	}
	skip := -uintptr(unsafe.Pointer(unsafe.SliceData(m.mapped))) & (hugePageSize - 1)
	m.mem = m.mapped[skip : int(skip)+size]
	if syscall.Madvise(m.mem, madvHugepage) == nil {
		m.kind = pagesTransparent
	}
	return m, nil
}

// Close returns the memory to the kernel; nobody may touch it any more.
func (m *Mapping) Close() error {
	if m.mapped == nil {
		return nil
	}
	err := syscall.Munmap(m.mapped)
	m.mem, m.mapped = nil, nil
	return err
}

// Pages names the kind of page: "hugetlb", "thp 30 of 32 MiB", "4k". madvise succeeds also where transparent huge
// pages are switched off or there are none left, so what was obtained is read
// from the kernel.
func (m *Mapping) Pages() string {
	switch m.kind {
	case pagesHugetlb:
		return "hugetlb"
	case pagesTransparent:
		smaps, err := os.ReadFile("/proc/self/smaps")
		if err != nil || len(m.mem) == 0 {
			return "4k"
		}
		at := uint64(uintptr(m.Base()))
		if huge := min(anonHugeBytes(string(smaps), at), len(m.mem)); huge > 0 {
			return fmt.Sprintf("thp %d of %d MiB", huge>>20, len(m.mem)>>20)
		}
	}
	return "4k"
}

// anonHugeBytes returns AnonHugePages of the area that holds address at, in
// the form of proc_pid_smaps(5).
func anonHugeBytes(smaps string, at uint64) int {
	inside := false
	for line := range strings.Lines(smaps) {
		field, rest, _ := strings.Cut(line, " ")
		if from, to, isRange := strings.Cut(field, "-"); isRange {
			lo, err1 := strconv.ParseUint(from, 16, 64)
			hi, err2 := strconv.ParseUint(to, 16, 64)
			inside = err1 == nil && err2 == nil && lo <= at && at < hi
		} else if inside && field == "AnonHugePages:" {
			kib, _ := strconv.Atoi(strings.TrimSuffix(strings.TrimSpace(rest), " kB"))
			return kib << 10
		}
	}
	return 0
}
