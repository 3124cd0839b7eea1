package main

import (
	"bufio"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/sluice-net/sluice/api"
	"github.com/sluice-net/sluice/node/doctor"
)

// errMend is what doctor ends with if something can't work. Each finding has
// been printed.
var errMend = errors.New("something has to be mended first")

func newDoctor() *cobra.Command {
	var (
		configs     []string
		skipUnknown bool
		output      string
		address     string
		o           doctor.Options
	)
	cmd := &cobra.Command{
		Use:   "doctor [--config FILE|DIR]…",
		Short: "Tell what of this machine works for Sluice, and how to mend the rest",
		Long: `Doctor looks at the kernel, the rights of the process, processors and memory, the
devices that the configuration names (without one all that there are), settings
that are known to trap, and what tests and daemons have left behind. It changes
nothing. Run it as the user, and in the container, that Sluice is to run in.

  OK    as it should be
  INFO  to know; nothing needs to be done
  WARN  it works, but worse than it could, or not always
  FAIL  it does not work, which makes the exit status 1`,
		Example: `  sluice doctor
  sluice doctor --config /etc/sluice -o json`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if output != "table" && output != "json" {
				return withStatus(exitUsage, fmt.Errorf("-o %s: want table or json", output))
			}
			o.Socket = strings.TrimPrefix(address, "unix:")
			if len(configs) > 0 {
				var err error
				if o.Model, err = loadModel(configs, cmd.InOrStdin(), cmd.ErrOrStderr(), skipUnknown); err != nil {
					return withStatus(exitConfig, err)
				}
			}
			return examine(cmd.OutOrStdout(), doctor.Host(), o, output)
		},
	}
	f := cmd.Flags()
	f.StringArrayVar(&configs, "config", nil, "configuration: a file, a folder, or - for standard input; may be repeated")
	f.BoolVar(&skipUnknown, "skip-unknown", false, "pass over objects of kinds that this version does not know")
	f.StringVar(&o.State, "state", cmp.Or(os.Getenv("STATE_DIRECTORY"), defaultState), "the daemon's folder")
	f.StringVar(&address, "api", api.DefaultAPI, "where a daemon would answer: unix:PATH")
	f.StringVarP(&output, "output", "o", "table", "table or json")
	return cmd
}

// examine prints the report of a machine, and is an error if something fails.
func examine(out io.Writer, machine *doctor.System, o doctor.Options, output string) error {
	report := doctor.Run(machine, o)
	var err error
	if output == "json" {
		e := json.NewEncoder(out)
		e.SetIndent("", "  ")
		err = e.Encode(report)
	} else {
		f, isFile := out.(*os.File)
		err = printFindings(out, &report, isFile && isTerminal(f) && os.Getenv("NO_COLOR") == "")
	}
	if err == nil && report.Summary.Fail > 0 {
		err = errMend
	}
	return withStatus(exitFailure, err)
}

// stateColors are for terminals: SGR codes of ECMA-48.
var stateColors = map[doctor.State]string{doctor.OK: "32", doctor.Info: "36", doctor.Warn: "33", doctor.Fail: "31;1"}

// printFindings prints a group after the other, each a line for what was found,
// and below it what it means and what to do.
func printFindings(out io.Writer, r *doctor.Report, colors bool) error {
	w := bufio.NewWriter(out)
	widths := map[string]int{}
	for _, f := range r.Findings {
		widths[f.Group] = max(widths[f.Group], len(f.Name))
	}
	group := ""
	for _, f := range r.Findings {
		if f.Group != group {
			if group != "" {
				fmt.Fprintln(w)
			}
			group = f.Group
			fmt.Fprintf(w, "%s\n", capital(group))
		}
		state := fmt.Sprintf("%-4s", f.State)
		if colors {
			state = "\x1b[" + stateColors[f.State] + "m" + state + "\x1b[0m"
		}
		fmt.Fprintf(w, "  %s  %-*s  %s\n", state, widths[group], f.Name, f.Found)
		indent := strings.Repeat(" ", 2+4+2+widths[group]+2)
		if f.Means != "" {
			fmt.Fprintf(w, "%s%s\n", indent, f.Means)
		}
		for _, command := range f.Mend {
			if !strings.HasPrefix(command, "#") {
				command = "$ " + command
			}
			fmt.Fprintf(w, "%s  %s\n", indent, command)
		}
	}
	fmt.Fprintf(w, "\n%s.\n", capital(r.Summary.String()))
	return w.Flush()
}

func capital(s string) string { return strings.ToUpper(s[:1]) + s[1:] }
