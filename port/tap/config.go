package tap

import (
	"errors"
	"fmt"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/sluice-net/sluice/packet"
)

// Config makes a Port. The zero Config makes a device of the kernel's naming,
// without offloads.
type Config struct {
	// Name is the interface: at most 15 bytes without blanks, '/', ':' and
	// '%'. One that exists is opened, any other is made. Empty: tap0, tap1,
	// ..., the first that is free.
	Name string

	// NetNS is the network namespace in which the device is or is made, a name
	// or a path (netdev.In); empty is the calling thread's.
	NetNS string

	// Queues is the number of receive queues, 1 to 256, default 1. More than
	// one needs a device that was made for several, by Sluice or with
	// multi_queue.
	Queues int

	// MTU is 68 to 65521 bytes; 0 leaves it as it is, 1500 for a new device.
	MTU int

	// MAC is the address that the kernel's side has, which is the workload's
	// own; zero leaves it as it is, random for a new device.
	MAC packet.MAC

	// Up brings the interface up; else it is left as it is, and a new one is down.
	Up bool

	// Persistent lets a device that the port makes outlive it. What existed
	// before stays in any case.
	Persistent bool

	// Offload leaves checksums to whoever receives the frames and passes
	// super-frames, both ways; else frames are plain (see the package comment).
	Offload bool

	// Arena is where frames will be received, by caches of it. Super-frames are not
	// asked of the kernel if it has no buffers for them. Nil: it has.
	Arena *packet.Arena
}

const (
	maxQueues = 256 // the kernel's MAX_TAP_QUEUES
	minMTU    = 68  // RFC 791 section 3.2
	maxMTU    = longestFrame - packet.EthernetSize
)

// longestFrame is what the kernel makes at most: an Ethernet header and what
// the 16 bits of a frame's length leave. Super-frames are no longer than that, up to
// their VLAN tags.
const longestFrame = 65535

func (cfg Config) validate() error {
	var faults []error
	fault := func(format string, args ...any) { faults = append(faults, fmt.Errorf(format, args...)) }
	if err := validateName(cfg.Name); err != nil {
		faults = append(faults, err)
	}
	if cfg.Queues < 0 || cfg.Queues > maxQueues {
		fault("tap: %d queues: want 1 to %d", cfg.Queues, maxQueues)
	}
	if cfg.MTU != 0 && (cfg.MTU < minMTU || cfg.MTU > maxMTU) {
		fault("tap: MTU %d: want %d to %d", cfg.MTU, minMTU, maxMTU)
	}
	if cfg.MAC.IsGroup() {
		fault("tap: MAC address %s is a group's: want one whose first byte is even, as 02:00:00:00:00:01", cfg.MAC)
	}
	return errors.Join(faults...)
}

// validateName refuses what the kernel refuses (net/core/dev.c, dev_valid_name),
// and '%', which it takes for a pattern.
func validateName(name string) error {
	switch {
	case len(name) >= unix.IFNAMSIZ:
		return fmt.Errorf("tap: name %q has %d bytes: want at most %d", name, len(name), unix.IFNAMSIZ-1)
	case name == "." || name == "..":
		return fmt.Errorf("tap: name %q: want another, it would be a folder in /sys", name)
	// The last is Latin 1's blank; the kernel does not know UTF-8.
	case strings.ContainsAny(name, "/:% \t\n\v\f\r\x00") || strings.IndexByte(name, 0xa0) >= 0:
		return fmt.Errorf("tap: name %q: want it without blanks and / : %%", name)
	}
	return nil
}
