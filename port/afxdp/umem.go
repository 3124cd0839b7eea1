package afxdp

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/cilium/ebpf/btf"
	"golang.org/x/sys/unix"

	"github.com/sluice-net/sluice/packet"
)

// UMEM is an arena's memory as the kernel knows it: pinned once, and shared by
// the sockets of all ports that are opened with it. A buffer that one device has
// received is sent by another without a copy. It needs no Close: the
// kernel lets go of the memory with the last socket.
type UMEM struct {
	arena *packet.Arena

	mu sync.Mutex
	// bound are the sockets from whom a registration can be had, by what they
	// have in common: XDP_SHARED_UMEM passes on zero-copy and multi-buffer too,
	// so that a NIC and a veth can't share one registration. The memory is
	// registered once for each kind.
	bound map[kind][]int

	plain bool // the kernel takes no transmit metadata (before Linux 6.8)

	tagOnce sync.Once
	tagOf   btf.TypeID // see findTagOf; valid after tagOnce
}

// kind is how a socket is bound.
type kind struct {
	zeroCopy    bool
	multiBuffer bool // XDP_USE_SG, Linux 6.6
}

// NewUMEM returns the UMEM of an arena: make one, and give it to every port.
func NewUMEM(a *packet.Arena) *UMEM {
	return &UMEM{arena: a, bound: make(map[kind][]int)}
}

// restorer returns the kernel function that programs find VLAN tags with, or 0.
func (u *UMEM) restorer() btf.TypeID {
	u.tagOnce.Do(func() { u.tagOf = findTagOf() })
	return u.tagOf
}

// metadataSize is the size of struct xsk_tx_metadata as it stands before a
// frame to send (linux/if_xdp.h): flags, and a union of 16 bytes.
const metadataSize = 24

// kinds are the ways of binding, best first.
func kinds(tryZeroCopy bool) []kind {
	all := []kind{{true, true}, {true, false}, {false, true}, {false, false}}
	if !tryZeroCopy {
		return all[2:]
	}
	return all
}

// open makes a socket with its rings and binds it to a queue of a device in the
// network namespace of the calling thread, in the best way there is.
func (u *UMEM) open(d *device, queue, ringSize int, tryZeroCopy bool) (*socket, error) {
	// A queue is free only some time after its last socket was closed: once
	// the kernel has let go of the frames that were on their way.
	const patience, pause = 2 * time.Second, 20 * time.Millisecond
	var err error
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(pause) {
		var s *socket
		if s, err = u.openNow(d, queue, ringSize, tryZeroCopy); !errors.Is(err, unix.EBUSY) {
			return s, err
		}
	}
	return nil, err
}

func (u *UMEM) openNow(d *device, queue, ringSize int, tryZeroCopy bool) (*socket, error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	var refused error
	for _, k := range kinds(tryZeroCopy) {
		s, err := u.bind(d, queue, ringSize, k)
		if err == nil {
			u.bound[k] = append(u.bound[k], s.fd)
			return s, nil
		}
		refused = err
		// What this device, or this kernel, does not do at all.
		if !errors.Is(err, unix.EOPNOTSUPP) && !errors.Is(err, unix.EINVAL) {
			break
		}
	}
	return nil, explainBind(d, queue, refused)
}

// bind tries one way: with the registration of a socket that is bound so, or
// else with one of its own.
func (u *UMEM) bind(d *device, queue, ringSize int, k kind) (*socket, error) {
	address := unix.SockaddrXDP{Ifindex: uint32(d.info.Index), QueueID: uint32(queue)}
	s, err := newSocket(ringSize)
	if err != nil {
		return nil, err
	}
	s.kind, s.metadata = k, !u.plain
	for _, from := range u.bound[k] {
		address.Flags, address.SharedUmemFD = unix.XDP_SHARED_UMEM, uint32(from)
		// EBADF: its device is gone, and it with it. Others may have theirs.
		if err := unix.Bind(s.fd, &address); !errors.Is(err, unix.EBADF) {
			return s.orClose(err)
		}
	}
	if err := u.register(s); err != nil {
		return s.orClose(err)
	}
	address.Flags, address.SharedUmemFD = unix.XDP_USE_NEED_WAKEUP|unix.XDP_COPY, 0
	if k.zeroCopy {
		address.Flags = unix.XDP_USE_NEED_WAKEUP | unix.XDP_ZEROCOPY
	}
	if k.multiBuffer {
		address.Flags |= unix.XDP_USE_SG
	}
	return s.orClose(unix.Bind(s.fd, &address))
}

// register makes the arena the memory of a socket.
func (u *UMEM) register(s *socket) error {
	memory := u.arena.Mem()
	err := s.register(memory, u.arena.Config().BufferSize, s.metadata)
	if errors.Is(err, unix.ENOBUFS) {
		if raiseErr := raiseMemlock(); raiseErr != nil {
			return fmt.Errorf("pin %d MiB of packet buffers: more than the process may lock: %s: %w",
				len(memory)>>20, moreMemlock, errors.Join(err, raiseErr))
		}
		err = s.register(memory, u.arena.Config().BufferSize, s.metadata)
	}
	if errors.Is(err, unix.EINVAL) && s.metadata {
		u.plain, s.metadata = true, false
		err = s.register(memory, u.arena.Config().BufferSize, false)
	}
	if err != nil {
		return fmt.Errorf("pin %d MiB of packet buffers (%s): %w", len(memory)>>20, moreMemlock, err)
	}
	return nil
}

// raiseMemlock lets the process lock as much memory as it is permitted to allow
// itself.
func raiseMemlock() error {
	var now unix.Rlimit
	if err := unix.Prlimit(0, unix.RLIMIT_MEMLOCK, nil, &now); err != nil {
		return err
	}
	all := unix.Rlimit{Cur: unix.RLIM_INFINITY, Max: unix.RLIM_INFINITY}
	if err := unix.Prlimit(0, unix.RLIMIT_MEMLOCK, &all, nil); err == nil || now.Cur == now.Max {
		return err
	}
	return unix.Prlimit(0, unix.RLIMIT_MEMLOCK, &unix.Rlimit{Cur: now.Max, Max: now.Max}, nil)
}

// close closes a socket of the UMEM.
func (u *UMEM) close(s *socket) error {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.bound[s.kind] = slices.DeleteFunc(u.bound[s.kind], func(fd int) bool { return fd == s.fd })
	return s.close()
}
