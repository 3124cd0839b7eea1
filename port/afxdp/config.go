package afxdp

import (
	"errors"
	"fmt"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/sluice-net/sluice/packet"
)

// Config opens a Port.
type Config struct {
	Name  string // of the device
	NetNS string // network namespace that it is in (see netdev.In); "" is the own

	// Queues is the number of the device's queues, 1 to 64; default 1. It must be
	// all that the device has in use: a frame that comes by another is lost.
	Queues int

	// MTU is the largest IP packet that shall pass, bytes; 0 asks for nothing. The
	// device has to have as much, and frames of its own MTU have to fit: longer than an
	// ordinary buffer, they need super-frame buffers in the arena.
	MTU int

	// Offload lets the kernel or the device finish transport checksums of sent
	// frames, where it can.
	Offload bool

	// AllowFallback permits generic XDP, for devices whose driver has no native
	// XDP: each frame is made a kernel's packet before it gets here.
	AllowFallback bool

	// Ring is the number of entries of each ring, a power of two from 64 to 16384;
	// default 2048. A queue keeps as many buffers of the arena for reception, but
	// not more than an eighth of it, and all queues leave it a quarter.
	Ring int

	// Arena has the frames. Ports of one arena should share a UMEM; nil makes
	// one for this port.
	Arena *packet.Arena
	UMEM  *UMEM
}

const (
	maxQueues = 64
	// What waits while the worker does not run: on two busy cores a TCP stream of
	// 3.6 Gbit/s lost 19,000 frames in 3 s with 1024, 350 with 2048, none with 4096.
	defaultRing = 2048
	minRing     = 64
	maxRing     = 16384
)

func (cfg Config) withDefaults() Config {
	if cfg.Queues == 0 {
		cfg.Queues = 1
	}
	if cfg.Ring == 0 {
		cfg.Ring = defaultRing
	}
	if cfg.Arena == nil && cfg.UMEM != nil {
		cfg.Arena = cfg.UMEM.arena
	}
	return cfg
}

func (cfg Config) validate() error {
	var faults []error
	fault := func(format string, args ...any) { faults = append(faults, fmt.Errorf(format, args...)) }
	if cfg.Name == "" || len(cfg.Name) >= unix.IFNAMSIZ || strings.ContainsAny(cfg.Name, "/ \t\n\x00") {
		fault("afxdp: device %q: want the name of a device, 1 to %d bytes", cfg.Name, unix.IFNAMSIZ-1)
	}
	if cfg.Queues < 1 || cfg.Queues > maxQueues {
		fault("afxdp: %d queues: want 1 to %d", cfg.Queues, maxQueues)
	}
	if cfg.MTU < 0 || cfg.MTU > 65535 {
		fault("afxdp: MTU %d: want 0 to 65535", cfg.MTU)
	}
	if cfg.Ring < minRing || cfg.Ring > maxRing || cfg.Ring&(cfg.Ring-1) != 0 {
		fault("afxdp: rings of %d entries: want a power of two from %d to %d", cfg.Ring, minRing, maxRing)
	}
	switch {
	case cfg.Arena == nil:
		fault("afxdp: no arena: want the packet.Arena of the node")
	case cfg.UMEM != nil && cfg.UMEM.arena != cfg.Arena:
		fault("afxdp: the UMEM is of another arena")
	}
	return errors.Join(faults...)
}
