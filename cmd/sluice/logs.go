package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/sluice-net/sluice/api"
	"github.com/sluice-net/sluice/control/client"
)

func newLog() *cobra.Command {
	var (
		at     connection
		lines  int
		follow bool
	)
	cmd := &cobra.Command{
		Use:   "log",
		Short: "Show what the daemon logged last, and change what it logs",
		Long: `Log shows the last lines that the daemon wrote of itself, oldest first. It keeps
some 2000, also where nothing reads its standard error.`,
		Example: `  sluice log --lines 20
  sluice log -f
  sluice log level port=debug`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if lines < 1 {
				return withStatus(exitUsage, fmt.Errorf("--lines %d: want 1 at least", lines))
			}
			return at.ask(func(c *client.Client) error {
				if !follow {
					return c.Log(cmd.Context(), lines, cmd.OutOrStdout())
				}
				f := logFollower{ask: askLog(c), out: cmd.OutOrStdout(), lines: lines, pause: followPause}
				return f.run(cmd.Context())
			})
		},
	}
	f := cmd.Flags()
	f.IntVarP(&lines, "lines", "n", 100, "how many lines, at most")
	f.BoolVarP(&follow, "follow", "f", false, "show further lines as they come, until interrupted")
	at.addFlags(cmd)
	cmd.AddCommand(newLogFirewall(), newLogLevel())
	return cmd
}

// followPause is how late a line may come.
const followPause = 500 * time.Millisecond

// askLog returns how the last lines are asked for.
func askLog(c *client.Client) func(context.Context, int) ([]string, error) {
	return func(ctx context.Context, lines int) ([]string, error) {
		var b bytes.Buffer
		if err := c.Log(ctx, lines, &b); err != nil {
			return nil, err
		}
		return slices.Collect(strings.Lines(b.String())), nil
	}
}

// logFollower shows lines as they come. The daemon gives the last lines; which of
// them are new follows from those that were given before.
type logFollower struct {
	ask   func(ctx context.Context, lines int) ([]string, error) // with their ends
	out   io.Writer
	lines int // to begin with
	pause time.Duration
}

// After each pause few lines are asked for, and if none of them has been given
// before, more.
const fewLogLines, manyLogLines = 100, 10_000

func (f *logFollower) run(ctx context.Context) error {
	given, err := f.ask(ctx, max(f.lines, fewLogLines))
	if err != nil {
		return err
	}
	if err := f.write(given[max(0, len(given)-f.lines):]); err != nil {
		return err
	}
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(f.pause):
		}
		last, err := f.ask(ctx, fewLogLines)
		if err != nil {
			return err
		}
		n := overlap(given, last)
		if n == 0 && len(given) > 0 {
			if last, err = f.ask(ctx, manyLogLines); err != nil {
				return err
			}
			if n = overlap(given, last); n == 0 && len(last) > 0 {
				if _, err := fmt.Fprintln(f.out, "(lines are missing here: more came than the daemon keeps, or it was started anew)"); err != nil {
					return err
				}
			}
		}
		if err := f.write(last[n:]); err != nil {
			return err
		}
		if len(last) > 0 {
			given = last
		}
	}
}

func (f *logFollower) write(lines []string) error {
	_, err := io.WriteString(f.out, strings.Join(lines, ""))
	return err
}

// overlap returns how many of the later lines have been given: those up to where the
// earlier ones end. It is 0 if none of them is among the later.
func overlap(earlier, later []string) int {
	given, longest := 0, 0
	for end := range len(later) + 1 {
		n := min(len(earlier), end)
		if n > longest && slices.Equal(earlier[len(earlier)-n:], later[end-n:end]) {
			given, longest = end, n
		}
	}
	return given
}

func newLogLevel() *cobra.Command {
	var at connection
	form := formTable
	cmd := &cobra.Command{
		Use:   "level [LEVEL] [COMPONENT=LEVEL]…",
		Short: "Show or change from which level on the daemon logs",
		Long: `Without an argument, level shows the level of each component of the daemon and,
as *, that of all others. LEVEL is debug, info, warn or error; COMPONENT=default
makes a component one of the others again. All changes are made, or none; they last
until the daemon ends (sluice run --log-level is for longer).`,
		Example: `  sluice log level
  sluice log level port=debug
  sluice log level warn store=default`,
		PreRunE: func(*cobra.Command, []string) error {
			if !slices.Contains([]string{formTable, formJSON, formYAML}, form) {
				return withStatus(exitUsage, fmt.Errorf("-o %s: want table, json or yaml", form))
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			set, err := logLevels(args)
			if err != nil {
				return withStatus(exitUsage, err)
			}
			return at.ask(func(c *client.Client) error {
				return setLogLevels(cmd, c, set, form)
			})
		},
	}
	cmd.Flags().StringVarP(&form, "output", "o", form, "table, json or yaml")
	completeWords(cmd, "output", formTable, formJSON, formYAML)
	at.addFlags(cmd)
	return cmd
}

// logLevels reads arguments: LEVEL and COMPONENT=LEVEL. Whether they are levels, the
// daemon says.
func logLevels(args []string) (map[string]string, error) {
	set := map[string]string{}
	for _, arg := range args {
		component, level, found := strings.Cut(arg, "=")
		switch {
		case !found:
			component, level = "", arg
		case component == "*":
			component = ""
		case component == "":
			return nil, fmt.Errorf("%s has no component before the =: want COMPONENT=LEVEL, or LEVEL for all others", arg)
		}
		if before, twice := set[component]; twice && before != level {
			return nil, fmt.Errorf("%s: there is a level for it already, %s: want one", arg, before)
		}
		set[component] = level
	}
	return set, nil
}

// setLogLevels makes changes, and prints what there is after them.
func setLogLevels(cmd *cobra.Command, c *client.Client, set map[string]string, form string) error {
	before, err := c.LogLevels(cmd.Context())
	if err != nil {
		return err
	}
	levels := before
	if len(set) > 0 {
		if err := c.SetLogLevels(cmd.Context(), set); err != nil {
			return err
		}
		if levels, err = c.LogLevels(cmd.Context()); err != nil {
			return err
		}
		known := slices.Sorted(maps.Keys(before))
		for _, component := range slices.Sorted(maps.Keys(set)) {
			if _, found := before[component]; !found {
				// It may log later, so that this is no mistake for certain.
				err := api.NotFound("component", component, known)
				fmt.Fprintf(cmd.ErrOrStderr(), "sluice: until now %v; the level is set all the same\n", err)
			}
		}
	}
	return printLogLevels(cmd.OutOrStdout(), levels, form)
}

func printLogLevels(w io.Writer, levels map[string]string, form string) error {
	if form != formTable {
		return printAs(w, form, levels)
	}
	t := tabwriter.NewWriter(w, 0, 0, 3, ' ', 0)
	fmt.Fprintln(t, "COMPONENT\tLEVEL")
	for _, component := range slices.Sorted(maps.Keys(levels)) {
		name := component
		if name == "" {
			name = "*"
		}
		fmt.Fprintf(t, "%s\t%s\n", name, levels[component])
	}
	return t.Flush()
}
