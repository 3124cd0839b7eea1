package main

import (
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/sluice-net/sluice/api"
	"github.com/sluice-net/sluice/control/client"
)

// changeFlags are the flags of commands that change objects.
type changeFlags struct {
	dryRun string
	output string
	client.ChangeOptions

	out output // of output
}

// addFlags adds them: those of ChangeOptions that all verbs have.
func (f *changeFlags) addFlags(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringVar(&f.dryRun, "dry-run", "none", "server: have the daemon check all and say what it would do; none")
	flags.Lookup("dry-run").NoOptDefVal = "server"
	flags.BoolVar(&f.Diff, "diff", false, "show what changes in each object")
	flags.StringVarP(&f.Message, "message", "m", "", "why, for the history")
	flags.StringVarP(&f.output, "output", "o", "", "json, yaml or name; default: a line for each object")
	completeWords(cmd, "dry-run", "none", "server")
	completeWords(cmd, "output", formJSON, formYAML, formName)
}

// parse checks them.
func (f *changeFlags) parse() (err error) {
	switch f.dryRun {
	case "server", "none":
		f.DryRun = f.dryRun == "server"
	default:
		return withStatus(exitUsage, fmt.Errorf("--dry-run=%s: want server or none; only the daemon knows what is there", f.dryRun))
	}
	if f.output != "" {
		f.out, err = parseOutput(f.output, formJSON, formYAML, formName)
	}
	return err
}

// print prints what a change did, and says beside the results what the user should know.
func (f *changeFlags) print(r *api.ChangeResult, s *screen, errOut io.Writer) error {
	for i := range r.Changes {
		c := &r.Changes[i]
		for _, text := range c.Warnings {
			fmt.Fprintf(errOut, "warning: %s: %s\n", refName(c.ObjectRef), text)
		}
	}
	for i := range r.Skipped {
		skipped := &r.Skipped[i]
		fmt.Fprintf(errOut, "skipped: %s%s: %s\n", place(skipped.File, skipped.Line, skipped.Column), refName(skipped.ObjectRef), skipped.Reason)
	}
	switch f.out.form {
	case formJSON, formYAML:
		return printAs(s.w, f.out.form, r)
	case formName:
		for i := range r.Changes {
			if _, err := fmt.Fprintln(s.w, refName(r.Changes[i].ObjectRef)); err != nil {
				return err
			}
		}
		return nil
	}
	if err := printChanges(r, s); err != nil {
		return err
	}
	if r.LiveAfter > 0 {
		fmt.Fprintf(errOut, "revision %d: live after %s\n", r.Revision, latency(r.LiveAfter))
	}
	return nil
}

func printChanges(r *api.ChangeResult, s *screen) error {
	suffix := ""
	if r.DryRun {
		suffix = " (server dry run)"
	}
	for i := range r.Changes {
		c := &r.Changes[i]
		if _, err := fmt.Fprintf(s.w, "%s %s%s\n", refName(c.ObjectRef), s.paint(actionColour(c.Action), string(c.Action)), suffix); err != nil {
			return err
		}
		if err := s.printDiff(c.Diff); err != nil {
			return err
		}
	}
	return nil
}

func actionColour(a api.Action) colour {
	switch a {
	case api.ActionCreated:
		return green
	case api.ActionConfigured:
		return yellow
	case api.ActionDeleted:
		return red
	}
	return plain
}

// place is FILE:LINE:COLUMN: as far as it is known.
func place(file string, line, column int) string {
	switch {
	case file == "":
		return ""
	case line == 0:
		return file + ": "
	}
	return fmt.Sprintf("%s:%d:%d: ", file, line, column)
}

// latency is a time in seconds as people say it: 12 ms.
func latency(seconds float64) string {
	d := time.Duration(seconds * float64(time.Second))
	switch {
	case d < time.Millisecond:
		return fmt.Sprintf("%d µs", d.Microseconds())
	case d < 10*time.Second:
		return fmt.Sprintf("%d ms", d.Milliseconds())
	}
	return d.Round(100 * time.Millisecond).String()
}
