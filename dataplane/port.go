package dataplane

import "github.com/sluice-net/sluice/packet"

// Port is a device that frames come from and go to: the edge of the data
// plane. Drivers live under port/; wrappers that record or damage frames are
// Ports too.
//
// Neither method waits. Each queue is polled by one worker; Tx may be called
// with any queue number by the worker that has it, so a driver with a single
// transmit queue shares it itself. Buffers are owned by one side at a time.
type Port interface {
	// Rx receives at most len(bufs) frames from queue q into buffers from c,
	// stores their indices in bufs, and returns how many. The caller owns them.
	// Frames that c has no buffer for stay in the device.
	Rx(q int, c *packet.Cache, bufs []packet.Index) int

	// Tx sends frames in order and takes ownership of the first n, which it
	// frees to c, now or once they are sent. The rest stays the caller's.
	Tx(q int, c *packet.Cache, bufs []packet.Index) (n int)

	// Caps says what the device is and can do. It may change while the port
	// is in use (link state); it is asked for off the packet path.
	Caps() Caps
}

// A Waiter is a Port that can be waited for: FD returns a descriptor that
// becomes readable when queue q has frames, or a negative number if there is none any
// more. It is asked for when a snapshot comes into use.
type Waiter interface {
	FD(q int) int
}

// Caps are a Port's properties.
type Caps struct {
	Queues int  // receive queues, at least 1
	MTU    int  // largest network-layer packet, bytes; 0 is no limit
	Up     bool // frames can pass now

	// RxSyscall says that each Rx is a system call, found frames or not. A running
	// worker calls it only for queues whose descriptor is readable (see Waiter).
	RxSyscall bool

	// What the device takes and gives without software's help.
	CsumPartial bool // frames with a partial checksum
	GSO         bool // super-frames (TCP and UDP, v4 and v6)
}
