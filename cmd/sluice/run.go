package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"strconv"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/sluice-net/sluice/api"
	"github.com/sluice-net/sluice/control"
	"github.com/sluice-net/sluice/internal/logging"
	"github.com/sluice-net/sluice/node"
	"github.com/sluice-net/sluice/node/daemon"
)

// defaultState is where the state is without --state: systemd says by
// StateDirectory= where a service's is.
const defaultState = "/var/lib/sluice"

func newRun() *cobra.Command {
	var (
		c              daemon.Config
		workers        string
		level, format  string
		access         accessFlags
		memoryForState bool
	)
	cmd := &cobra.Command{
		Use:   "run [--config FILE|DIR]…",
		Short: "Run the switch: the daemon",
		Long: `Run puts the configuration in force and keeps it so, until SIGTERM or SIGINT; a
second one ends it at once. Files and folders of the configuration are
followed: a change is put in force as a whole or, if it has faults, not at all.
SIGHUP reads them again.

What was allocated (pods' addresses, carved subnets, numbers) is in the state
folder before it is in force, and survives kill -9. A state folder belongs to one
daemon at a time.`,
		Example: `  sluice run --config /etc/sluice
  sluice run --config switch.yaml --state /tmp/sluice --log-level debug`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			logs, err := newLogging(cmd.ErrOrStderr(), level, format)
			if err != nil {
				return withStatus(exitUsage, err)
			}
			// Nobody could read that the log can't be read.
			defer func() { _ = logs.Close() }()
			c.Log, c.Logs = logs.Logger(""), daemonLogs{logs}
			if c.Access, err = access.parse(); err != nil {
				return withStatus(exitUsage, err)
			}
			if c.Workers, err = parseWorkers(workers); err != nil {
				return withStatus(exitUsage, err)
			}
			if memoryForState {
				c.State = ""
			}
			if err := c.Validate(); err != nil {
				return withStatus(exitUsage, err)
			}
			c.Stdin, c.Version = cmd.InOrStdin(), buildVersion().Version
			c.HoldCPULatency = cmd.Flags().Changed("cpu-latency")
			return runDaemon(cmd.Context(), c)
		},
	}
	f := cmd.Flags()
	f.StringVar(&c.API, "api", api.DefaultAPI, "where questions are answered: unix:PATH; empty: nowhere")
	access.add(f)
	f.StringArrayVar(&c.Paths, "config", nil, "configuration: a file, a folder, or - for standard input; may be repeated")
	f.StringVar(&c.State, "state", cmp.Or(os.Getenv("STATE_DIRECTORY"), defaultState), "folder of what has to survive the daemon; made if need be")
	f.BoolVar(&memoryForState, "ephemeral", false, "keep no state: everything is allocated anew at the next start")
	f.StringVar(&workers, "workers", "", "number of workers, 1 to 256, or auto: one less than there are CPUs; default: the NodeConfig's")
	f.IntVar(&c.Buffers, "buffers", 0, "packet buffers of 2 KiB; default by ports and memory, at least 16384")
	f.IntVar(&c.Supers, "super-buffers", 0, "buffers of 68 KiB for super-frames; default by ports and memory, at least 256")
	f.BoolVar(&c.Populate, "populate", true, "have the kernel give all memory right after the start, not when frames need it")
	f.DurationVar(&c.CPULatency, "cpu-latency", 0, "while frames pass, keep idle CPUs from states that take longer to leave, as 0s or 10us; default: the kernel's choice")
	f.StringArrayVar(&c.Takeover, "takeover", nil, "DEV or NETNS/DEV: a device that may be taken although the host uses it itself; may be repeated")
	f.DurationVar(&c.TakeoverTimeout, "takeover-timeout", daemon.DefaultTakeoverTimeout, "how long a taken device waits for sluice takeover confirm before it is given back")
	f.StringVar(&c.FirewallLog, "firewall-log", "", "file for what logged firewall rules do, FILE.1 to FILE.3 are those before; default: only sluice log firewall shows it")
	f.StringVar(&level, "log-level", "info", "debug, info, warn or error; also for a component each: info,store=debug")
	f.StringVar(&format, "log-format", "text", "text or json")
	return cmd
}

// runDaemon runs the daemon under the process's signals.
func runDaemon(ctx context.Context, c daemon.Config) error {
	signals := make(chan os.Signal, 4)
	signal.Notify(signals, syscall.SIGHUP)
	// A write to standard error whose reader is gone would end the process, unless
	// somebody waits for the signal (os/signal, "SIGPIPE"). The switch goes on without a log.
	brokenPipe := make(chan os.Signal, 1)
	signal.Notify(brokenPipe, syscall.SIGPIPE)
	defer signal.Stop(brokenPipe)
	// The first signal to end ends ctx; from then on the next one is wanted.
	stop := context.AfterFunc(ctx, func() { signal.Notify(signals, syscall.SIGTERM, os.Interrupt) })
	defer func() { stop(); signal.Stop(signals) }()
	c.Signals = signals
	err := daemon.Run(ctx, c)
	switch {
	case err == nil:
		return nil
	case errors.Is(err, daemon.ErrKilled):
		return withStatus(exitInterrupted, err)
	case isConfigError(err):
		return withStatus(exitConfig, err)
	}
	return withStatus(exitFailure, err)
}

// isConfigError says whether the configuration is to be changed.
func isConfigError(err error) bool {
	_, faults := errors.AsType[control.Faults](err)
	return faults || errors.Is(err, node.ErrUnsupported)
}

// newLogging makes what the daemon writes about itself of --log-level and --log-format.
func newLogging(w io.Writer, levels, format string) (*logging.Logging, error) {
	parsed, err := logging.ParseLevels(levels)
	if err != nil {
		return nil, fmt.Errorf("--log-level: %w", err)
	}
	if !slices.Contains(logging.Format("").Values(), format) {
		return nil, fmt.Errorf("--log-format %s: want text or json", format)
	}
	return logging.New(logging.Options{Writer: w, Format: logging.Format(format), Levels: parsed})
}

// parseWorkers reads --workers; empty is 0, the configuration's.
func parseWorkers(text string) (int, error) {
	switch text {
	case "":
		return 0, nil
	case "auto":
		return daemon.AutoWorkers, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 || n > 256 {
		return 0, fmt.Errorf("--workers %s: want a number from 1 to 256, or auto", text)
	}
	return n, nil
}
