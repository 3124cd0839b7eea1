// Package daemon runs a node for as long as the machine wants one: it keeps the
// configuration of files in force, and what has to survive in a store.
package daemon

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"time"

	"github.com/sluice-net/sluice/api"
	"github.com/sluice-net/sluice/control"
	"github.com/sluice-net/sluice/control/server"
	"github.com/sluice-net/sluice/dataplane"
	"github.com/sluice-net/sluice/packet"
)

// Config is what a daemon is run with. The zero Config runs a node without
// ports that forgets all when it ends.
type Config struct {
	// Paths are configuration files and folders, as control.Load takes them. They
	// are followed: a change is put in force. None is an empty configuration.
	Paths []string
	Stdin io.Reader // read once, for the path "-"

	// State is the folder of what has to survive the daemon; it is made if need
	// be. Empty: nothing survives.
	State string

	// Workers overrides the configuration's number; 0 leaves it. See AutoWorkers.
	Workers int

	Buffers int // packet buffers of 2 KiB; 0: by ports and memory, see Memory
	Supers  int // super-frame buffers of 68 KiB; likewise

	// Populate has the kernel give all of that memory right after the start, in the
	// background, instead of when frames need it.
	Populate bool

	// HoldCPULatency keeps idle processors from sleeping states that they leave
	// later than after CPULatency, while frames pass.
	HoldCPULatency bool
	CPULatency     time.Duration

	// Seed of hashes; 0: a random one, as a live switch should have.
	Seed uint64

	// API is where questions are answered, unix:PATH; empty: nowhere.
	API     string
	Access  Access
	Version string // what it says that it is

	// Takeover names devices, DEV or NETNS/DEV, that may be taken although the host
	// uses them itself. They are given back unless that is confirmed within
	// TakeoverTimeout; 0 is DefaultTakeoverTimeout.
	Takeover        []string
	TakeoverTimeout time.Duration

	// Open opens a port's device; nil opens devices of the host.
	Open func(*packet.Arena, *control.Port) (dataplane.Port, error)

	// Log is told what happens; nil is nobody.
	Log *slog.Logger
	// Logs is what Log writes, for the API; nil is nothing that can be asked for.
	Logs server.Logs

	// FirewallLog is the file that gets the firewall's log, which is replaced at 64 MiB; FILE.1 to FILE.3 are those
	// before. Empty: the newest lines are kept for the API, and no more.
	FirewallLog string

	// Signals are SIGHUP, which reloads, and once the daemon is ending any
	// other, which ends it at once. May be nil.
	Signals <-chan os.Signal

	// DrainTimeout bounds an orderly end; 0 is DefaultDrainTimeout.
	DrainTimeout time.Duration

	// Getenv is asked for what systemd tells a service; nil is os.Getenv.
	Getenv func(string) string
}

// DefaultTakeoverTimeout is enough to find out that one can still reach the
// machine, and to say so.
const DefaultTakeoverTimeout = 2 * time.Minute

// DefaultDrainTimeout is well below the 90 s after which systemd kills.
const DefaultDrainTimeout = 10 * time.Second

// ErrKilled is returned by Run if a second signal ended it.
var ErrKilled = errors.New("ended at once by a second signal, without draining")

func (c Config) withDefaults() Config {
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.DrainTimeout == 0 {
		c.DrainTimeout = DefaultDrainTimeout
	}
	if c.Getenv == nil {
		c.Getenv = os.Getenv
	}
	if c.TakeoverTimeout == 0 {
		c.TakeoverTimeout = DefaultTakeoverTimeout
	}
	return c
}

// Validate returns every fault of the settings; Run refuses them, too.
func (c Config) Validate() error {
	var faults []error
	fault := func(format string, args ...any) { faults = append(faults, fmt.Errorf(format, args...)) }
	if c.Workers != AutoWorkers && (c.Workers < 0 || c.Workers > dataplane.MaxWorkers) {
		fault("workers: %d is not between 1 and %d", c.Workers, dataplane.MaxWorkers)
	}
	if c.Buffers < 0 || c.Buffers > maxBuffers {
		fault("buffers: %d is not between 1 and %d", c.Buffers, maxBuffers)
	}
	if c.Supers < 0 || c.Supers > maxSupers {
		fault("super-frame buffers: %d is not between 1 and %d", c.Supers, maxSupers)
	}
	if c.TakeoverTimeout != 0 && c.TakeoverTimeout < time.Second {
		fault("takeover timeout: %v is too short for anybody to confirm: want a second at least", c.TakeoverTimeout)
	}
	if c.API != "" {
		if _, err := api.SocketPath(c.API); err != nil {
			faults = append(faults, err)
		}
	}
	return errors.Join(faults...)
}
