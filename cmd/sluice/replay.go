package main

import (
	"context"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/sluice-net/sluice/control"
	"github.com/sluice-net/sluice/node"
	"github.com/sluice-net/sluice/node/replay"
)

func newReplay() *cobra.Command {
	var (
		configs, inputs []string
		damage          string
		skipUnknown     bool
		quiet           bool
		c               replay.Config
	)
	cmd := &cobra.Command{
		Use:   "replay --config FILE… --in PORT=FILE… [--out DIR]",
		Short: "Run captures through a configuration, offline and deterministically",
		Long: `Replay builds the switch that the configuration describes, feeds captures
(pcap or pcapng) to its ports in the order of their time stamps, and tells what
became of every frame. It needs no privileges and touches no device. Equal
inputs and an equal seed give byte-identical results, for any number of workers.

--in '*=FILE' gives each frame to the port that owns its source MAC address,
else its source IP address, else to the port named "uplink".

Written to --out: PORT.pcap with the frames sent out of each port ("/" in a
name becomes "."), flows.jsonl (a line for each session), drops.jsonl (a line for
each drop) and report.json (counters and the ledger).`,
		Example: `  sluice replay --config switch.yaml --in web/a=a.pcap --in uplink=outside.pcapng --out result
  sluice replay --config switch.yaml --in '*=everything.pcap' --out result --workers 4`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			var err error
			if c.Inputs, err = parseInputs(inputs); err != nil {
				return withStatus(exitUsage, err)
			}
			if c.Faults, err = parseFaults(damage, c.Seed); err != nil {
				return withStatus(exitUsage, err)
			}
			if c.Workers < 1 || c.Workers > 64 {
				return withStatus(exitUsage, fmt.Errorf("--workers %d is not between 1 and 64", c.Workers))
			}
			if c.Model, err = loadModel(configs, cmd.InOrStdin(), cmd.ErrOrStderr(), skipUnknown); err != nil {
				return withStatus(exitConfig, err)
			}
			if err := node.Idle(c.Model); err != nil {
				return withStatus(exitConfig, err)
			}
			return runReplay(cmd.Context(), cmd.OutOrStdout(), cmd.ErrOrStderr(), c, quiet)
		},
	}
	f := cmd.Flags()
	f.StringArrayVar(&configs, "config", nil, "configuration: a file, a folder, or - for standard input; may be repeated")
	f.StringArrayVar(&inputs, "in", nil, "PORT=FILE: a capture and the port it is fed to; may be repeated")
	f.StringVar(&c.Out, "out", "", "folder for the results; made if need be")
	f.IntVar(&c.Workers, "workers", 1, "number of workers, 1 to 64; results do not depend on it")
	f.Uint64Var(&c.Seed, "seed", 1, "of hashes and faults")
	f.StringVar(&damage, "faults", "", "damage what ports receive, e.g. loss=0.01,duplicate=0.01,reorder=0.05,corrupt=0.001,truncate=0.001")
	f.BoolVar(&skipUnknown, "skip-unknown", false, "pass over objects of kinds that this version does not know, or does nothing with; they are listed")
	f.BoolVarP(&quiet, "quiet", "q", false, "print nothing but errors")
	for _, name := range []string{"config", "in"} {
		if err := cmd.MarkFlagRequired(name); err != nil {
			panic(err) // the flag has just been defined
		}
	}
	return cmd
}

// loadModel reads and compiles a configuration, and refuses what this version
// can't put into effect. With skipUnknown, objects of which this version knows nothing, or with
// which it does nothing, are passed over and listed on errOut.
func loadModel(paths []string, stdin io.Reader, errOut io.Writer, skipUnknown bool) (*control.Model, error) {
	model, err := compileFiles(paths, stdin, errOut, skipUnknown)
	if err != nil {
		return nil, err
	}
	if skipUnknown {
		for _, k := range model.NotImplemented {
			fmt.Fprintf(errOut, "skipped: %s: %s\n", k, control.NotImplemented(k.Kind))
		}
		model.NotImplemented = nil
	}
	return model, nil
}

func parseInputs(args []string) (inputs []replay.Input, err error) {
	for _, arg := range args {
		port, file, found := strings.Cut(arg, "=")
		if !found || port == "" || file == "" {
			return nil, fmt.Errorf("--in %s: want PORT=FILE", arg)
		}
		inputs = append(inputs, replay.Input{Port: port, File: file})
	}
	return inputs, nil
}

func parseFaults(text string, seed uint64) (c replay.Faults, err error) {
	if text == "" {
		return c, nil
	}
	c.Seed = seed
	for _, part := range strings.Split(text, ",") {
		name, value, _ := strings.Cut(part, "=")
		p, err := strconv.ParseFloat(value, 64)
		if err != nil || !(p >= 0 && p <= 1) { // not a number is neither
			return c, fmt.Errorf("--faults %s: want a probability from 0 to 1", part)
		}
		switch name {
		case "loss":
			c.Loss = p
		case "duplicate":
			c.Duplicate = p
		case "reorder":
			c.Reorder = p
		case "corrupt":
			c.Corrupt = p
		case "truncate":
			c.Truncate = p
		default:
			return c, fmt.Errorf("--faults %s: know loss, duplicate, reorder, corrupt and truncate", part)
		}
	}
	return c, nil
}

func runReplay(ctx context.Context, out, errOut io.Writer, c replay.Config, quiet bool) error {
	p := newProgress(errOut)
	c.Progress = func(n int64) { p.say("replayed %d frames", n) }
	report, err := replay.Run(ctx, c)
	p.clear()
	if report != nil && !quiet {
		printReport(out, report)
		if c.Out != "" {
			fmt.Fprintf(out, "Results are in %s.\n", c.Out)
		}
	}
	return verdict(report, err)
}

// verdict is what a replay's end means to the caller's script.
func verdict(report *replay.Report, err error) error {
	switch {
	case err != nil:
		return runFailure(err)
	case report.Ledger.Unexplained != 0:
		return balanced(report.Ledger.Unexplained)
	case report.Crashes != 0:
		return withStatus(exitFailure, fmt.Errorf("%d panics were contained; please report them", report.Crashes))
	}
	return nil
}

// printReport is the account for a person.
func printReport(w io.Writer, r *replay.Report) {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "PORT\tRX\tRX BYTES\tTX\tTX BYTES\tDROPPED\t")
	for _, name := range slices.Sorted(maps.Keys(r.Ports)) {
		p := r.Ports[name]
		fmt.Fprintf(t, "%s\t%d\t%d\t%d\t%d\t%d\t\n", name, p.Rx.Packets, p.Rx.Bytes, p.Tx.Packets, p.Tx.Bytes, p.Ledger.Dropped)
	}
	t.Flush() //nolint:errcheck // like all printing here
	if drops := r.Drops(); len(drops) > 0 {
		fmt.Fprintln(w, "\nDrops by reason:")
		for _, reason := range slices.Sorted(maps.Keys(drops)) {
			fmt.Fprintf(w, "  %8d  %s\n", drops[reason], reason)
		}
	}
	for _, refused := range r.Refused {
		fmt.Fprintf(w, "\n%s: %d frames of link type %s were passed over: the switch carries Ethernet\n", refused.File, refused.Frames, refused.LinkType)
	}
	if r.Unowned > 0 {
		fmt.Fprintf(w, "\n%d frames belong to no port: nobody owns their source, and there is no port %q\n", r.Unowned, replay.UplinkPort)
	}
	l := r.Ledger
	fmt.Fprintf(w, "\n%d sessions. Ledger: %d received + %d generated + %d replicated = %d sent + %d dropped + %d consumed + %d queued; unexplained: %d\n",
		r.Sessions, l.Received, l.Generated, l.Replicated, l.Transmitted, l.Dropped, l.Consumed, l.Queued, l.Unexplained)
}
