package tap

import (
	"errors"
	"fmt"
	"strings"
	"syscall"

	"github.com/songgao/water"
	"golang.org/x/sys/unix"
)

// Config makes a Port. The zero Config makes a device of the kernel's naming.
type Config struct {
	// Name is the interface: at most 15 bytes without blanks, '/', ':' and
	// '%'. One that exists is opened, any other is made. Empty: tap0, tap1,
	// ..., the first that is free.
	Name string

	// Queues is the number of receive queues, 1 to 256, default 1. More than
	// one needs a device that was made for several, by Sluice or with
	// multi_queue.
	Queues int

	// MTU is 68 to 65521 bytes; 0 leaves it as it is, 1500 for a new device.
	MTU int

	// Up brings the interface up; else it is left as it is, and a new one is down.
	Up bool

	// Persist lets the device outlive the port. One that was persistent before
	// stays so in any case.
	Persist bool
}

const (
	maxQueues = 256 // the kernel's MAX_TAP_QUEUES
	minMTU    = 68  // RFC 791 section 3.2
	maxMTU    = 65535 - 14
)

// New opens or makes the device in the network namespace of the calling
// thread. The errors name every fault of cfg, or what the kernel refused and
// what may be done about it. The caller closes the Port.
func New(cfg Config) (*Port, error) {
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	p, err := open(cfg)
	switch {
	case err == nil:
		return p, nil
	case cfg.Name == "":
		return nil, fmt.Errorf("make a tap: %w", err)
	default:
		return nil, fmt.Errorf("open tap %s: %w", cfg.Name, err)
	}
}

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

func open(cfg Config) (*Port, error) {
	ctl, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("control socket: %w", err)
	}
	found, err := inquire(ctl, cfg.Name, cfg.Queues > 1)
	if err != nil {
		return nil, errors.Join(err, unix.Close(ctl))
	}
	p := &Port{name: cfg.Name, ctl: ctl, queues: make([]queue, 0, max(cfg.Queues, 1))}
	if err := p.attach(cfg, found); err != nil {
		// Left persistent, a device that was made here would outlive the attempt.
		if !found.exists && cfg.Persist && len(p.queues) > 0 {
			err = errors.Join(err, unix.IoctlSetInt(p.queues[0].fd, unix.TUNSETPERSIST, 0))
		}
		return nil, errors.Join(err, p.Close())
	}
	p.askMTU()
	return p, nil
}

// attach opens the queues and sets what cfg asks for.
func (p *Port) attach(cfg Config, found device) error {
	for range cap(p.queues) {
		fd, name, err := openQueue(water.PlatformSpecificParams{
			Name: p.name, Persist: cfg.Persist || found.persistent, MultiQueue: cfg.Queues > 1 || found.multiQueue,
		})
		if err != nil {
			return err
		}
		p.name = name
		p.queues = append(p.queues, queue{fd: fd, spill: make([]byte, longestSpill)})
	}
	// A persistent device keeps the offloads that its last user has set. Left
	// on, the kernel would hand over super-frames and unfinished checksums as if they were whole.
	if err := unix.IoctlSetInt(p.queues[0].fd, unix.TUNSETOFFLOAD, 0); err != nil {
		return fmt.Errorf("turn offloads off: %w", err)
	}
	if cfg.MTU != 0 {
		if err := p.setMTU(cfg.MTU); err != nil {
			return fmt.Errorf("set MTU %d: %w", cfg.MTU, explain(err))
		}
	}
	if cfg.Up {
		if err := p.setUp(); err != nil {
			return fmt.Errorf("bring it up: %w", explain(err))
		}
	}
	return nil
}

// openQueue opens a queue by water and takes the descriptor out of its hands.
// What water returns is an os.File, which Go's own poller watches: it would be
// woken by every frame for nobody. A duplicate that only ppoll knows, then
// closing the file, ends that; it stays non-blocking, which is how water opens it.
func openQueue(params water.PlatformSpecificParams) (fd int, name string, err error) {
	// water does not set close-on-exec; until the duplicate does, nobody may fork.
	syscall.ForkLock.RLock()
	defer syscall.ForkLock.RUnlock()
	w, err := water.New(water.Config{DeviceType: water.TAP, PlatformSpecificParams: params})
	if err != nil {
		return -1, "", explain(err)
	}
	defer w.Close() // of the original only; nothing is lost if that fails
	file, ok := w.ReadWriteCloser.(syscall.Conn)
	if !ok {
		return -1, "", errors.New("water gives no descriptor")
	}
	conn, err := file.SyscallConn()
	if err != nil {
		return -1, "", err
	}
	var dupErr error
	err = conn.Control(func(original uintptr) {
		fd, dupErr = unix.FcntlInt(original, unix.F_DUPFD_CLOEXEC, 0)
	})
	if err := errors.Join(err, dupErr); err != nil {
		return -1, "", fmt.Errorf("duplicate the descriptor: %w", err)
	}
	return fd, w.Name(), nil
}

func (p *Port) setMTU(mtu int) error {
	ifr, err := unix.NewIfreq(p.name)
	if err != nil {
		return err
	}
	ifr.SetUint32(uint32(mtu))
	return unix.IoctlIfreq(p.ctl, unix.SIOCSIFMTU, ifr)
}

func (p *Port) setUp() error {
	ifr, err := unix.NewIfreq(p.name)
	if err != nil {
		return err
	}
	if err := unix.IoctlIfreq(p.ctl, unix.SIOCGIFFLAGS, ifr); err != nil {
		return err
	}
	// Without need no right is asked for: others may have made it for us.
	if ifr.Uint16()&unix.IFF_UP != 0 {
		return nil
	}
	ifr.SetUint16(ifr.Uint16() | unix.IFF_UP)
	return unix.IoctlIfreq(p.ctl, unix.SIOCSIFFLAGS, ifr)
}
