package afxdp

import (
	"errors"
	"fmt"
	"unsafe"

	"golang.org/x/sys/unix"
)

// socket is an AF_XDP socket with its rings.
type socket struct {
	fd       int
	kind     kind // valid once bound, as is the next
	metadata bool // sent frames may have metadata before them

	rx, tx, fill, completion ring
	mappings                 [][]byte
}

// newSocket makes a socket whose four rings have size entries each. It is bound to
// nothing.
func newSocket(size int) (*socket, error) {
	fd, err := unix.Socket(unix.AF_XDP, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, explainSocket(err)
	}
	s := &socket{fd: fd}
	return s.orClose(s.mapRings(size))
}

// orClose returns s, or closes it if there is an error and returns that.
func (s *socket) orClose(err error) (*socket, error) {
	if err != nil {
		return nil, errors.Join(err, s.close())
	}
	return s, nil
}

func (s *socket) mapRings(size int) error {
	kinds := []struct {
		ring   *ring
		option int
		at     int64
		entry  uintptr
		where  *unix.XDPRingOffset
	}{
		{ring: &s.rx, option: unix.XDP_RX_RING, at: unix.XDP_PGOFF_RX_RING, entry: unsafe.Sizeof(unix.XDPDesc{})},
		{ring: &s.tx, option: unix.XDP_TX_RING, at: unix.XDP_PGOFF_TX_RING, entry: unsafe.Sizeof(unix.XDPDesc{})},
		{ring: &s.fill, option: unix.XDP_UMEM_FILL_RING, at: unix.XDP_UMEM_PGOFF_FILL_RING, entry: unsafe.Sizeof(uint64(0))},
		{ring: &s.completion, option: unix.XDP_UMEM_COMPLETION_RING, at: unix.XDP_UMEM_PGOFF_COMPLETION_RING, entry: unsafe.Sizeof(uint64(0))},
	}
	for _, k := range kinds {
		if err := unix.SetsockoptInt(s.fd, unix.SOL_XDP, k.option, size); err != nil {
			return fmt.Errorf("make rings of %d entries: %w", size, err)
		}
	}
	var where unix.XDPMmapOffsets
	if err := getOption(s.fd, unix.XDP_MMAP_OFFSETS, unsafe.Pointer(&where), unsafe.Sizeof(where)); err != nil {
		return fmt.Errorf("ask where the rings are: %w", err)
	}
	kinds[0].where, kinds[1].where, kinds[2].where, kinds[3].where = &where.Rx, &where.Tx, &where.Fr, &where.Cr
	for _, k := range kinds {
		memory, err := unix.Mmap(s.fd, k.at, int(k.where.Desc)+size*int(k.entry),
			unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED|unix.MAP_POPULATE)
		if err != nil {
			return fmt.Errorf("map a ring: %w", err)
		}
		s.mappings = append(s.mappings, memory)
		base := unsafe.Pointer(unsafe.SliceData(memory))
		*k.ring = ring{
			entries: unsafe.Add(base, k.where.Desc), flags: (*uint32)(unsafe.Add(base, k.where.Flags)), mask: uint32(size - 1),
			ours: (*uint32)(unsafe.Add(base, k.where.Consumer)), theirs: (*uint32)(unsafe.Add(base, k.where.Producer)),
		}
		if k.ring == &s.tx || k.ring == &s.fill {
			k.ring.ours, k.ring.theirs = k.ring.theirs, k.ring.ours
		}
	}
	return nil
}

// register pins memory, cut into chunks, for this socket. The kernel keeps 256
// bytes of each chunk free before a received frame (XDP_PACKET_HEADROOM), which is
// packet.Headroom: no more is asked for.
func (s *socket) register(memory []byte, chunk int, metadata bool) error {
	r := unix.XDPUmemReg{Addr: uint64(uintptr(unsafe.Pointer(unsafe.SliceData(memory)))), Len: uint64(len(memory)), Size: uint32(chunk)}
	if metadata {
		r.Flags, r.Tx_metadata_len = unix.XDP_UMEM_TX_METADATA_LEN, metadataSize
	}
	_, _, errno := unix.Syscall6(unix.SYS_SETSOCKOPT, uintptr(s.fd), unix.SOL_XDP, unix.XDP_UMEM_REG,
		uintptr(unsafe.Pointer(&r)), unsafe.Sizeof(r), 0)
	if errno != 0 {
		return errno
	}
	return nil
}

// zeroCopy asks the kernel whether the device writes into the buffers itself.
func (s *socket) zeroCopy() (bool, error) {
	var flags uint32 // struct xdp_options
	err := getOption(s.fd, unix.XDP_OPTIONS, unsafe.Pointer(&flags), unsafe.Sizeof(flags))
	return flags&unix.XDP_OPTIONS_ZEROCOPY != 0, err
}

// statistics returns what the kernel has counted.
func (s *socket) statistics() (v unix.XDPStatistics, err error) {
	err = getOption(s.fd, unix.XDP_STATISTICS, unsafe.Pointer(&v), unsafe.Sizeof(v))
	return v, err
}

func getOption(fd, option int, value unsafe.Pointer, size uintptr) error {
	n := uint32(size)
	_, _, errno := unix.Syscall6(unix.SYS_GETSOCKOPT, uintptr(fd), unix.SOL_XDP, uintptr(option), uintptr(value), uintptr(unsafe.Pointer(&n)), 0)
	if errno != 0 {
		return errno
	}
	return nil
}

// close ends the socket; once it has returned the kernel writes into no buffer
// any more, unless the socket is zero-copy. The rings go first: they keep
// the socket open.
func (s *socket) close() error {
	var errs []error
	for _, m := range s.mappings {
		errs = append(errs, unix.Munmap(m))
	}
	s.mappings = nil
	errs = append(errs, unix.Close(s.fd))
	return errors.Join(errs...)
}
