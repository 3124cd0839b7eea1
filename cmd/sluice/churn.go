package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/sluice-net/sluice/bench/churn"
)

func newChurn() *cobra.Command {
	var (
		to     connection
		output string
		c      churn.Config
	)
	cmd := &cobra.Command{
		Use:   "churn [--rate N] [--duration D] [--objects N] [--clients N]",
		Short: "Measure how soon changes are in force, while very many are made",
		Long: `Churn creates, changes and deletes objects of a running daemon over its API, one
a request, at a rate, and measures how long each change takes to be in force: an
answer comes once every worker treats packets by it and it is on the disk.

Objects are Pods, Ports without devices, and Segments with addresses of 198.18.0.0/15.
They are in a namespace of their own, have the label churn.sluice.dev/run, and
are removed at the end, also when churn is interrupted. A run that was killed leaves
them; the next one with the same --prefix removes them first, as does
sluice delete all -l churn.sluice.dev/run. The history of the daemon has an entry for
each change: of older ones, only as many are left as it keeps in all.

Changes are due at times that were settled before. One that has to wait because
all clients wait for answers is late, and the time that it waited counts.`,
		Example: `  sluice bench churn --rate 1000 --duration 30s
  sluice bench churn --rate 1 --clients 1 --objects 10 -o json`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if output != formTable && output != formJSON {
				return withStatus(exitUsage, fmt.Errorf("-o %s: want %s or %s", output, formTable, formJSON))
			}
			if err := c.Validate(); err != nil {
				return withStatus(exitUsage, err)
			}
			p := newProgress(cmd.ErrOrStderr())
			c.Progress = func(what string) { p.say("%s…", what) }
			c.Dial = to.dial
			if strings.HasPrefix(to.address, "unix:") {
				c.PID, _ = churn.LocalPID(to.address) // without it, less is measured
			}
			r, err := churn.Run(cmd.Context(), c)
			p.clear()
			if r != nil {
				if err := printChurn(cmd.OutOrStdout(), output, r); err != nil {
					return withStatus(exitFailure, err)
				}
			}
			switch {
			case err != nil:
				return askFailure(err)
			case cmd.Context().Err() != nil:
				return withStatus(exitInterrupted, context.Canceled)
			case r.Errors > 0:
				return withStatus(exitFailure, fmt.Errorf("%d changes failed", r.Errors))
			case r.Unsent > 0:
				return withStatus(exitFailure, errors.New("the daemon is too slow for this rate"))
			}
			return nil
		},
	}
	to.addFlags(cmd)
	f := cmd.Flags()
	f.Float64Var(&c.Rate, "rate", 1000, "changes per second")
	f.DurationVar(&c.Duration, "duration", 10*time.Second, "how long changes are due")
	f.DurationVar(&c.Patience, "patience", time.Minute, "how late changes may be until the rest are given up")
	f.IntVar(&c.Objects, "objects", 1000, fmt.Sprintf("that are created, changed and deleted in turns, up to %d", churn.MaxObjects))
	f.IntVar(&c.Clients, "clients", 64, "connections, each of which makes one change at a time")
	f.StringVar(&c.Prefix, "prefix", "churn", "namespace of the objects; two runs at a time need two")
	f.StringVarP(&output, "output", "o", formTable, formTable+" or "+formJSON)
	return cmd
}

// printChurn prints a result.
func printChurn(w io.Writer, form string, r *churn.Result) error {
	if form == formJSON {
		return json.NewEncoder(w).Encode(r)
	}
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	row := func(name, format string, args ...any) {
		fmt.Fprintf(t, "%s\t"+format+"\n", append([]any{name}, args...)...)
	}
	row("changes", "%d in %.1f s, %.0f/s of %g/s asked for; %s", r.Changes, r.Seconds, r.Reached, r.Rate, numbers(r.Actions))
	row("objects", "%d, by %d clients; changes: %s", r.Objects, r.Clients, numbers(r.Kinds))
	row("put in force", "%d times, %.1f changes at a time", r.Publications, float64(r.Changes)/max(1, float64(r.Publications)))
	for _, p := range []struct {
		name string
		of   churn.Percentiles
	}{{"due to live", r.Live}, {"sent to live", r.Answer}, {"in the daemon", r.Daemon}} {
		row(p.name, "p50 %s  p90 %s  p99 %s  p99.9 %s  max %s", ms(p.of.P50), ms(p.of.P90), ms(p.of.P99), ms(p.of.P999), ms(p.of.Max))
	}
	if r.CPU != nil {
		row("daemon's CPU", "%.0f µs per change; %.0f %% of a core, before %.0f %%", 1e6*r.CPU.PerChange, 100*r.CPU.During, 100*r.CPU.Before)
	}
	row("frames", "%.0f/s received by the daemon, before %.0f/s", r.Frames, r.FramesBefore)
	if r.Unsent > 0 {
		row("not sent", "%d", r.Unsent)
	}
	row("errors", "%d", r.Errors)
	for _, e := range r.FirstErrors {
		row("", "%s", strings.ReplaceAll(e, "\n", "; "))
	}
	return t.Flush()
}

// numbers lists numbers by name.
func numbers(of map[string]int) string {
	var parts []string
	for _, name := range slices.Sorted(maps.Keys(of)) {
		parts = append(parts, fmt.Sprintf("%d %s", of[name], name))
	}
	return strings.Join(parts, ", ")
}

func ms(seconds float64) string { return fmt.Sprintf("%.2f ms", 1e3*seconds) }
