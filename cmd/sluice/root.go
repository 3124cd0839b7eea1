package main

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/sluice-net/sluice/api"
	"github.com/sluice-net/sluice/control"
	"github.com/sluice-net/sluice/node/bench"
	"github.com/sluice-net/sluice/node/replay"
)

// Exit statuses. They are part of the command line's contract: CI jobs branch on them.
const (
	exitOK          = 0
	exitFailure     = 1   // something that should have worked did not
	exitUsage       = 2   // unknown command, flag or argument
	exitConfig      = 3   // the configuration has faults; they were listed
	exitInput       = 4   // an input file can't be read, or only in part
	exitLedger      = 5   // the books don't balance: a defect of Sluice
	exitInterrupted = 130 // by SIGINT or SIGTERM
)

const exitHelp = `Exit status:
    0  done
    1  something that should have worked did not
    2  wrong use of the command line
    3  the configuration has faults (all of them are listed)
    4  an input file can't be read, or only in part
    5  the books don't balance: a frame is unaccounted for, which is a defect
  130  interrupted`

// statusError carries the exit status of an error.
type statusError struct {
	status int
	err    error
}

func (e *statusError) Error() string { return e.err.Error() }
func (e *statusError) Unwrap() error { return e.err }

func withStatus(status int, err error) error {
	if err == nil {
		return nil
	}
	return &statusError{status, err}
}

// runFailure gives an error of work that had begun its status.
func runFailure(err error) error {
	switch {
	case errors.Is(err, replay.ErrInput), errors.Is(err, bench.ErrInput):
		return withStatus(exitInput, err)
	case errors.Is(err, context.Canceled):
		return withStatus(exitInterrupted, err)
	}
	return withStatus(exitFailure, err)
}

// balanced is an error if frames are unaccounted for.
func balanced(unexplained int64) error {
	if unexplained == 0 {
		return nil
	}
	return withStatus(exitLedger, fmt.Errorf("%d frames are unaccounted for; please report it", unexplained))
}

// run is main without the process: it returns the exit status.
func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	root := newRoot()
	root.SetArgs(args)
	root.SetIn(stdin)
	root.SetOut(stdout)
	root.SetErr(stderr)
	err := root.ExecuteContext(ctx)
	if err == nil {
		return exitOK
	}
	switch {
	case errors.Is(err, errDiffers):
		return exitDiffers // the differences were shown
	case errors.Is(err, errDenied), errors.Is(err, errFindings):
		return exitDenied // so was why
	}
	if faults, ok := errors.AsType[control.Faults](err); ok {
		// Lines begin with the place, so that editors find it.
		what := "faults in the configuration"
		if errors.Is(err, api.ErrConflict) {
			what = "conflicts with what there is"
		}
		fmt.Fprintf(stderr, "%v\nsluice: %s: %d\n", faults, what, len(faults))
	} else {
		fmt.Fprintf(stderr, "sluice: %v\n", err)
	}
	if se, ok := errors.AsType[*statusError](err); ok {
		return se.status
	}
	return exitUsage // cobra's own errors are all about flags and arguments
}

func newRoot() *cobra.Command {
	root := &cobra.Command{
		Use:   "sluice",
		Short: "Userspace virtual switch and edge data plane for a Linux node",
		Long: `Sluice switches, routes and (as features are added) filters, balances and
mirrors frames between ports, in user space, in one binary.`,
		SilenceUsage:  true,
		SilenceErrors: true,
	}
	root.SetHelpTemplate(root.HelpTemplate() + "\n" + exitHelp + "\n")
	for _, g := range []struct {
		id, title string
		commands  []*cobra.Command
	}{
		{"objects", "Change a running node:", []*cobra.Command{
			newApply(), newDelete(), newEdit(), newDiff(), newHistory(), newRollback(), newExplain(),
		}},
		{"look", "Look at a running node:", []*cobra.Command{
			newGet(), newDescribe(), newFlows(), newSessions(), newPolicy(), newTop(), newLog(), newSupportBundle(),
		}},
		{"node", "Run a node:", []*cobra.Command{newDoctor(), newRun(), newTakeover()}},
		{"offline", "Try and measure, without a node:", []*cobra.Command{newReplay(), newBench(), newLab()}},
	} {
		root.AddGroup(&cobra.Group{ID: g.id, Title: g.title})
		for _, c := range g.commands {
			c.GroupID = g.id
			root.AddCommand(c)
		}
	}
	root.AddCommand(newVersion(), newGen())
	return root
}
