package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/sluice-net/sluice/api"
	"github.com/sluice-net/sluice/control/client"
)

// The exit statuses of diff, which are kubectl's.
const (
	exitDiffers     = 1
	exitDiffFailure = 2 // what is exitFailure elsewhere
)

// errDiffers has the status that there are differences, and nothing to say beside.
var errDiffers = errors.New("there are differences")

// diffOptions are the flags of diff.
type diffOptions struct {
	conn           connection
	files          manifests
	revision, to   uint64
	skipUnknown    bool
	fromRevision   bool
	hasDestination bool
}

func newDiff() *cobra.Command {
	var o diffOptions
	cmd := &cobra.Command{
		Use:   "diff -f FILE|DIR|-… | --revision N [--to M]",
		Short: "Show what applying files would change, or what revisions changed",
		Long: `Diff has the daemon check files as apply does, and shows what applying them would
change in each object. With --revision it shows what has changed since that
revision, in all, or up to the one that --to names.

As with kubectl diff, the exit status is 0 if nothing differs, 1 if something
does, and more than 1 if something went wrong: 2 also for what is 1 with other
commands.`,
		Example: `  sluice diff -f site.yaml
  sluice diff --revision 41
  sluice diff --revision 41 --to 42`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			o.fromRevision, o.hasDestination = cmd.Flags().Changed("revision"), cmd.Flags().Changed("to")
			if err := o.check(); err != nil {
				return withStatus(exitUsage, err)
			}
			return diffStatus(o.run(cmd))
		},
	}
	o.conn.addFlags(cmd)
	o.files.addFlags(cmd)
	cmd.Flags().BoolVar(&o.skipUnknown, "skip-unknown", false, "leave out objects of kinds that Sluice does not know")
	addRevisionFlag(cmd, &o.conn, &o.revision, "revision", "what has changed since this revision")
	addRevisionFlag(cmd, &o.conn, &o.to, "to", "with --revision: up to this one")
	return cmd
}

func (o *diffOptions) check() error {
	switch {
	case o.fromRevision == (len(o.files.paths) > 0):
		return errors.New("the difference of what? Name files by -f, or a revision by --revision")
	case o.hasDestination && !o.fromRevision:
		return errors.New("--to is for --revision")
	case o.hasDestination && o.to < o.revision:
		return fmt.Errorf("--revision %d --to %d: name the older one first", o.revision, o.to)
	}
	return nil
}

// diffStatus gives an error the status that diff has for it.
func diffStatus(err error) error {
	said := errors.Is(err, errDiffers) || errors.Is(err, errDenied) || errors.Is(err, errFindings)
	if se, ok := errors.AsType[*statusError](err); ok && se.status == exitFailure && !said {
		return &statusError{exitDiffFailure, se.err}
	}
	return err
}

func (o *diffOptions) run(cmd *cobra.Command) error {
	s := newScreen(cmd.OutOrStdout())
	if o.fromRevision {
		return o.conn.ask(func(c *client.Client) error { return o.revisions(cmd.Context(), c, s) })
	}
	documents, err := o.files.read(cmd)
	if err != nil {
		return err
	}
	return o.conn.ask(func(c *client.Client) error {
		r, err := c.Apply(cmd.Context(), documents, client.ChangeOptions{DryRun: true, Diff: true, SkipUnknown: o.skipUnknown})
		if err != nil {
			return err
		}
		return printDiffs(s, r.Changes)
	})
}

// printDiffs prints those that there are, and returns errDiffers if there is one.
func printDiffs(s *screen, changes []api.ObjectChange) error {
	differs := false
	for i := range changes {
		differs = differs || changes[i].Action != api.ActionUnchanged
		if err := s.printDiff(changes[i].Diff); err != nil {
			return err
		}
	}
	if differs {
		return errDiffers
	}
	return nil
}

// revisions shows what has changed between two revisions, in all.
func (o *diffOptions) revisions(ctx context.Context, c *client.Client, s *screen) error {
	to := o.to
	if !o.hasDestination {
		newest, err := c.History(ctx, api.HistoryFilter{Limit: 1})
		if err != nil {
			return err
		}
		if len(newest) > 0 {
			to = newest[0].Revision
		}
	}
	if o.revision > to {
		return api.NotFound("revision", number(o.revision)+" (the newest is "+number(to)+")", []string{number(to)})
	}
	byKey := map[api.ObjectRef]*composition{}
	var order []*composition
	for n := o.revision + 1; n <= to; n++ {
		v, err := c.Revision(ctx, n)
		if err != nil {
			return err
		}
		for i := range v.Changes {
			key := v.Changes[i].ObjectRef
			key.APIVersion = "" // it may change
			if byKey[key] == nil {
				byKey[key] = &composition{}
				order = append(order, byKey[key])
			}
			if err := byKey[key].compose(&v.Changes[i]); err != nil {
				return err
			}
		}
	}
	changes := make([]api.ObjectChange, len(order))
	for i, composed := range order {
		changes[i] = composed.change()
	}
	return printDiffs(s, changes)
}
