package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/sluice-net/sluice/control"
	"github.com/sluice-net/sluice/lab"
)

func newLab() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "lab",
		Short: "Play scenarios: programs in network namespaces around a switch",
		Long: `A lab is a topology of network namespaces around a switch that runs as a
process of its own, real programs in them, steps, and what must come of each. A
scenario is a file that says all this (lab/README.md describes it); some come with
sluice and are called by their names.

Labs touch nothing of the machine's own network, and several run side by side.`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	cmd.AddCommand(newLabRun(), newLabUp(), newLabDown(), newLabList())
	cmd.AddCommand(newLabPrograms()...)
	return cmd
}

// labFlags are those of run and up.
type labFlags struct {
	options lab.RunOptions
	output  string
}

func (l *labFlags) add(cmd *cobra.Command) {
	f := cmd.Flags()
	f.BoolVarP(&l.options.Verbose, "verbose", "v", false, "show the outputs of steps that succeed, too")
	f.StringVar(&l.options.Dir, "dir", lab.DefaultDir, "folder in which labs have theirs")
	f.StringVar(&l.options.Binary, "sluice", "", "the binary under test; default: this one")
}

func newLabRun() *cobra.Command {
	var flags labFlags
	cmd := &cobra.Command{
		Use:   "run FILE|NAME…",
		Short: "Play scenarios from beginning to end",
		Long: `Run brings each scenario's topology up, does its steps until one fails, looks
whether the switch's books balance, and takes everything down again, also when it
is interrupted. What earlier runs left because they were killed is removed first.`,
		Example: `  sluice lab run two-namespaces
  sluice lab run -v --keep my-lab.yaml`,
		Args: cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error { return flags.run(cmd, args) },
	}
	flags.add(cmd)
	cmd.Flags().BoolVar(&flags.options.Keep, "keep", false, "leave the lab up if a step fails, to be looked at; end it with lab down")
	cmd.Flags().StringVarP(&flags.output, "output", "o", "text", "text, or json: a line for each scenario")
	return cmd
}

func newLabUp() *cobra.Command {
	var flags labFlags
	cmd := &cobra.Command{
		Use:   "up FILE|NAME",
		Short: "Bring a scenario's topology up and leave it so, without its steps",
		Args:  cobra.ExactArgs(1),
		RunE:  func(cmd *cobra.Command, args []string) error { return flags.run(cmd, args) },
	}
	flags.add(cmd)
	flags.output, flags.options.OnlyUp = "text", true
	return cmd
}

// run plays scenarios one after the other. All of them are read before the
// first is played.
func (l *labFlags) run(cmd *cobra.Command, names []string) error {
	if l.output != "text" && l.output != "json" {
		return withStatus(exitUsage, fmt.Errorf("-o %s: want text or json", l.output))
	}
	scenarios, err := loadScenarios(names)
	if err != nil {
		return err
	}
	if err := sweep(l.options.Dir, cmd.ErrOrStderr()); err != nil {
		return withStatus(exitFailure, err)
	}
	p := newProgress(cmd.ErrOrStderr())
	l.options.Progress = func(what string) {
		if what == "" {
			p.clear()
			return
		}
		p.say("  ...  %s", what)
	}
	l.options.Out = cmd.OutOrStdout()
	if l.output == "json" {
		l.options.Out = nil
	}
	var failed []string
	for i, s := range scenarios {
		if i > 0 && l.options.Out != nil {
			fmt.Fprintln(l.options.Out)
		}
		result, err := lab.Run(cmd.Context(), s, l.options)
		p.clear()
		if result != nil && l.output == "json" {
			if err := json.NewEncoder(cmd.OutOrStdout()).Encode(result); err != nil {
				return withStatus(exitFailure, err)
			}
		}
		if err != nil {
			return labFailure(s.Name, err)
		}
		if !result.OK {
			failed = append(failed, s.Name)
		}
	}
	if len(failed) > 0 {
		return withStatus(exitFailure, fmt.Errorf("%d of %d scenarios failed: %s", len(failed), len(scenarios), strings.Join(failed, ", ")))
	}
	return nil
}

func loadScenarios(names []string) ([]*lab.Scenario, error) {
	var scenarios []*lab.Scenario
	var all control.Faults
	for _, name := range names {
		s, faults, err := lab.Load(name)
		if err != nil {
			return nil, withStatus(exitInput, err)
		}
		all = append(all, faults...)
		scenarios = append(scenarios, s)
	}
	return scenarios, withStatus(exitConfig, all.Err())
}

func labFailure(name string, err error) error {
	if _, faults := errors.AsType[control.Faults](err); faults {
		return withStatus(exitConfig, err)
	}
	if errors.Is(err, context.Canceled) {
		return withStatus(exitInterrupted, fmt.Errorf("%s: interrupted; the lab has been taken down", name))
	}
	return withStatus(exitFailure, fmt.Errorf("%s: %w", name, err))
}

// sweep removes what killed runs have left, and says so.
func sweep(dir string, w io.Writer) error {
	swept, err := lab.Sweep(dir)
	for _, s := range swept {
		fmt.Fprintf(w, "removed the lab %s (%s), whose process %d was killed\n", s.ID, s.Scenario, s.PID)
	}
	return err
}

func newLabDown() *cobra.Command {
	var dir string
	cmd := &cobra.Command{
		Use:   "down [ID|NAME]",
		Short: "End a lab that was left up; without a name the only one",
		Args:  cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			name := ""
			if len(args) > 0 {
				name = args[0]
			}
			ended, err := lab.Down(dir, name)
			for _, s := range ended {
				fmt.Fprintf(cmd.OutOrStdout(), "%s (%s) is down\n", s.ID, s.Scenario)
			}
			return withStatus(exitFailure, err)
		},
	}
	cmd.Flags().StringVar(&dir, "dir", lab.DefaultDir, "folder in which labs have theirs")
	return cmd
}

func newLabList() *cobra.Command {
	var dir string
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List the scenarios that come with sluice, and the labs that are up",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			shipped, err := lab.Shipped()
			if err != nil {
				return withStatus(exitFailure, err)
			}
			running, err := lab.Running(dir)
			if err != nil {
				return withStatus(exitFailure, err)
			}
			return withStatus(exitFailure, printLabs(cmd.OutOrStdout(), shipped, running))
		},
	}
	cmd.Flags().StringVar(&dir, "dir", lab.DefaultDir, "folder in which labs have theirs")
	return cmd
}

func printLabs(w io.Writer, shipped []*lab.Scenario, running []lab.State) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "SCENARIO\tABOUT")
	for _, s := range shipped {
		fmt.Fprintf(t, "%s\t%s\n", s.Name, s.About)
	}
	if len(running) > 0 {
		fmt.Fprintln(t, "\t\nLAB\tSCENARIO")
	}
	for _, s := range running {
		state := "nobody takes care of it: the next run removes it"
		switch {
		case s.Alive:
			state = fmt.Sprintf("run by process %d", s.PID)
		case s.Kept:
			state = "up"
		}
		fmt.Fprintf(t, "%s\t%s (%s, for %s)\n", s.ID, s.Scenario, state, time.Since(s.Started).Round(time.Second))
	}
	return t.Flush()
}
