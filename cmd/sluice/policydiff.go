package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/sluice-net/sluice/node/policy"
)

// policyDiffOptions are the flags of policy diff.
type policyDiffOptions struct {
	flows, before, after []string
	skipUnknown          bool
	form                 string
}

func newPolicyDiff() *cobra.Command {
	var o policyDiffOptions
	cmd := &cobra.Command{
		Use:   "diff --flows FILE… --config NEW… [--old OLD…]",
		Short: "Say which recorded flows a new policy would treat otherwise",
		Long: `Diff asks a policy about flows that were recorded, as sluice replay writes them: sessions and
connections that rules have denied (flows.jsonl), or such packets (drops.jsonl). It lists
those whose verdict changes, by who sends to whom, and the rules that decide. Before is
what another configuration (--old) says; without that, what was recorded.

Workloads are known by their recorded names, and by their addresses if there is none of
the name. That packets are dropped instead of rejected is no change. Of ICMP, drops.jsonl
does not have the type: it is taken for an echo request.

As with sluice diff, the exit status is 0 if nothing changes, 1 if something does, and
more than 1 if something went wrong: 2 also for what is 1 with other commands.`,
		Example: `  sluice policy diff --flows result/flows.jsonl --flows result/drops.jsonl --config new.yaml
  sluice policy diff --flows flows.jsonl --old site.yaml --config site.yaml --config draft.yaml`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			out, err := parseOutput(o.form, formTable, formWide, formJSON, formYAML)
			if err != nil {
				return err
			}
			return diffStatus(o.run(cmd, out.form))
		},
	}
	f := cmd.Flags()
	f.StringArrayVar(&o.flows, "flows", nil, "recorded flows: flows.jsonl or drops.jsonl, or - for standard input; may be repeated")
	f.StringArrayVar(&o.after, "config", nil, "the new configuration: a file, a folder, or - for standard input; may be repeated")
	f.StringArrayVar(&o.before, "old", nil, "the configuration before, likewise; default: what was recorded")
	f.BoolVar(&o.skipUnknown, "skip-unknown", false, "leave out objects of kinds that Sluice does not know")
	f.StringVarP(&o.form, "output", "o", formTable, "table, wide, json or yaml")
	completeWords(cmd, "output", formTable, formWide, formJSON, formYAML)
	for _, name := range []string{"flows", "config"} {
		if err := cmd.MarkFlagRequired(name); err != nil {
			panic(err) // the flag has just been defined
		}
	}
	return cmd
}

// check refuses to read standard input twice.
func (o *policyDiffOptions) check() error {
	n := 0
	for _, paths := range [][]string{o.flows, o.before, o.after} {
		for _, path := range paths {
			if path == "-" {
				n++
			}
		}
	}
	if n > 1 {
		return errors.New("standard input (-) is given more than once: it can be read once")
	}
	return nil
}

func (o *policyDiffOptions) run(cmd *cobra.Command, form string) error {
	if err := o.check(); err != nil {
		return withStatus(exitUsage, err)
	}
	after, err := loadPolicy(o.after, cmd.InOrStdin(), cmd.ErrOrStderr(), o.skipUnknown)
	if err != nil {
		return err
	}
	var before *policy.Evaluator
	if len(o.before) > 0 {
		if before, err = loadPolicy(o.before, cmd.InOrStdin(), cmd.ErrOrStderr(), o.skipUnknown); err != nil {
			return err
		}
	}
	d := policy.NewDiffer(before, after)
	for _, path := range o.flows {
		if err := readFlows(cmd, d, path); err != nil {
			if errors.Is(err, context.Canceled) {
				return withStatus(exitInterrupted, err)
			}
			return withStatus(exitInput, err)
		}
	}
	r := d.Result()
	if form == formTable || form == formWide {
		err = printDifference(newScreen(cmd.OutOrStdout()), r, form == formWide)
	} else {
		err = printAs(cmd.OutOrStdout(), form, r)
	}
	if err == nil && r.Changed.Packets+uint64(r.Changed.Flows) > 0 {
		return withStatus(exitDiffers, errDiffers)
	}
	return err
}

// interruptible is a reader that ends with a context.
type interruptible struct {
	ctx context.Context
	r   io.Reader
}

func (i interruptible) Read(b []byte) (int, error) {
	if err := i.ctx.Err(); err != nil {
		return 0, err
	}
	return i.r.Read(b)
}

// readFlows compares the flows of a file, and shows how far it is.
func readFlows(cmd *cobra.Command, d *policy.Differ, path string) error {
	in, name, size := cmd.InOrStdin(), "standard input", int64(0)
	if path != "-" {
		f, err := os.Open(path)
		if err != nil {
			return fmt.Errorf("%w: name a file that sluice replay --out has written", err)
		}
		defer f.Close()
		if info, err := f.Stat(); err == nil {
			size = info.Size()
		}
		in, name = io.Reader(f), path
	}
	p := newProgress(cmd.ErrOrStderr())
	defer p.clear()
	err := d.Read(interruptible{cmd.Context(), in}, func(lines, bytes int64) {
		if size > 0 {
			p.say("%s: %d lines, %.0f%%", name, lines, 100*float64(bytes)/float64(size))
		} else {
			p.say("%s: %d lines", name, lines)
		}
	})
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return nil
}

var groupDiffColumns = []column[policy.Group]{
	{"FROM", false, func(g *policy.Group) string { return g.From }},
	{"TO", false, func(g *policy.Group) string { return g.To }},
	{"PROTOCOL", false, func(g *policy.Group) string { return g.Protocol }},
	{"PORT", false, func(g *policy.Group) string {
		if g.ICMPType != nil {
			return fmt.Sprintf("type=%d", *g.ICMPType)
		}
		return positive(g.Port)
	}},
	{"FLOWS", false, func(g *policy.Group) string { return number(g.Flows) }},
	{"PACKETS", false, func(g *policy.Group) string { return number(g.Packets) }},
	{"BYTES", true, func(g *policy.Group) string { return number(g.Bytes) }},
	{"BEFORE", false, func(g *policy.Group) string { return g.Before.Verdict }},
	{"AFTER", false, func(g *policy.Group) string { return g.After.Verdict }},
	{"BY", false, func(g *policy.Group) string {
		// Of what is allowed both ends' rules say so: of most interest is the one that says no.
		d := &g.After
		if g.After.Verdict == "ALLOW" {
			d = &g.Before
		}
		return strings.TrimPrefix(d.String(), d.Verdict+" ")
	}},
	{"RULES-BEFORE", true, func(g *policy.Group) string { return g.Before.String() }},
	{"RULES-AFTER", true, func(g *policy.Group) string { return g.After.String() }},
}

// printDifference is the account for a person.
func printDifference(s *screen, r *policy.Difference, wide bool) error {
	if err := printTable(s, groupDiffColumns, wide, r.Groups); err != nil {
		return err
	}
	if len(r.Groups) > 0 {
		fmt.Fprintln(s.w)
	}
	if r.Omitted != (policy.Counts{}) {
		fmt.Fprintf(s.w, "%d flows more change that are not listed: there are too many kinds of them\n", r.Omitted.Flows)
	}
	_, err := fmt.Fprintf(s.w, "Of %d flows, %d would be denied that were allowed, and %d allowed that were denied.\n", r.Flows, r.Denied.Flows, r.Allowed.Flows)
	if err == nil && r.Skipped > 0 {
		_, err = fmt.Fprintf(s.w, "%d lines are about nothing that rules decide: drops for other reasons, or not of IP.\n", r.Skipped)
	}
	return err
}
