package main

import (
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

	"github.com/sluice-net/sluice/node/bench"
)

func newBench() *cobra.Command {
	var (
		features string
		output   string
		c        bench.Config
	)
	cmd := &cobra.Command{
		Use:   "bench [--features l2,l3,dfw,lb] [--flows N] [--rules N] [--services N] [--frame BYTES] [--workers N] [--duration D]",
		Short: "Measure the pipeline between ports in memory",
		Long: `Bench runs the real pipeline, with a configuration made for the purpose, between
ports in memory. Traffic is UDP: N distinct 5-tuples in a seeded random order.
Frames are copied into buffers when received, as DMA would, and freed after
they are sent. Sessions are set up before the clock starts; with --new, setting
them up is what is measured.

On a shared machine believe cpu-ns/packet (the workers' threads, getrusage)
rather than Mpps.`,
		Example: `  sluice bench --features l2,l3 --flows 1000000 --workers 2 -o json
  sluice bench --features l2,l3,dfw --rules 1000
  sluice bench --features l2,l3,dfw,lb --services 100
  sluice bench --features l3 --stages`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if output != "" && output != "json" {
				return withStatus(exitUsage, fmt.Errorf("-o %s: want json", output))
			}
			for _, f := range strings.Split(features, ",") {
				c.Features = append(c.Features, bench.Feature(strings.TrimSpace(f)))
			}
			if cmd.Flags().Changed("rules") && !slices.Contains(c.Features, bench.DFW) {
				return withStatus(exitUsage, errors.New("--rules belongs to the feature dfw: add it to --features"))
			}
			if cmd.Flags().Changed("services") && !slices.Contains(c.Features, bench.LB) {
				return withStatus(exitUsage, errors.New("--services belongs to the feature lb: add it to --features"))
			}
			if err := c.Validate(); err != nil {
				return withStatus(exitUsage, err)
			}
			p := newProgress(cmd.ErrOrStderr())
			c.Progress = func(what string) { p.say("%s…", what) }
			r, err := bench.Run(cmd.Context(), c)
			p.clear()
			if err != nil {
				return runFailure(err)
			}
			if output == "json" {
				if err := json.NewEncoder(cmd.OutOrStdout()).Encode(r); err != nil {
					return withStatus(exitFailure, err)
				}
			} else {
				printBench(cmd.OutOrStdout(), r)
			}
			return balanced(r.Ledger.Unexplained)
		},
	}
	cmd.AddCommand(newChurn())
	f := cmd.Flags()
	f.StringVar(&features, "features", "l2,l3", "what packets go through: "+bench.FeatureNames()+"; with both, flows take turns")
	f.IntVar(&c.Flows, "flows", 1000, "distinct 5-tuples")
	f.IntVar(&c.Frame, "frame", 64, fmt.Sprintf("bytes of a frame in memory, %d to %d", bench.MinFrame, bench.MaxFrame))
	f.IntVar(&c.Workers, "workers", 1, "workers, each on a thread of its own")
	f.DurationVar(&c.Duration, "duration", 2*time.Second, "how long to measure")
	f.Uint64Var(&c.Seed, "seed", 1, "of the order of packets, and of hashes")
	f.StringVar(&c.Pcap, "pcap", "", "take the packets from a capture instead, over and over")
	f.BoolVar(&c.New, "new", false, "measure first packets only")
	f.BoolVar(&c.Stages, "stages", false, "show the time of each stage (costs about 1 ns per packet)")
	f.IntVar(&c.Rules, "rules", 1000, "firewall rules, of which the last lets the traffic pass; with the feature dfw")
	f.IntVar(&c.Services, "services", 100, "virtual servers with 10 members each; with the feature lb")
	f.StringVarP(&output, "output", "o", "", "json, or nothing for a table")
	return cmd
}

func printBench(w io.Writer, r *bench.Result) {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	row := func(name, format string, args ...any) {
		fmt.Fprintf(t, "%s\t"+format+"\n", append([]any{name}, args...)...)
	}
	row("features", "%s", r.Features)
	row("flows", "%d", r.Flows)
	row("frame", "%d bytes", r.Frame)
	row("workers", "%d", r.Workers)
	row("throughput", "%.2f Mpps", r.Mpps)
	row("per packet", "%.1f ns of CPU, %.1f ns of time", r.CPUNsPerPacket, r.NsPerPacket)
	row("packets", "%d in %.2f s", r.Packets, r.Seconds)
	row("allocations", "%g per packet", r.AllocsPerPacket)
	row("new sessions", "%.0f per second", r.NewSessionsPerSecond)
	row("vector", "p50 %s  p90 %s  p99 %s  p99.9 %s  max %s", ns(r.VectorNs.P50), ns(r.VectorNs.P90), ns(r.VectorNs.P99), ns(r.VectorNs.P999), ns(r.VectorNs.Max))
	row("flow table", "%d MiB", r.TableBytes>>20)
	for _, reason := range slices.Sorted(maps.Keys(r.Drops)) {
		row("dropped", "%d %s", r.Drops[reason], reason)
	}
	for _, s := range r.Stages {
		row("  "+s.Stage, "%5.1f ns", s.NsPerPacket)
	}
	t.Flush() //nolint:errcheck // like all printing here
}

func ns(n int64) string { return time.Duration(n).String() }
