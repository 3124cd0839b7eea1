package main

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/sluice-net/sluice/api"
	"github.com/sluice-net/sluice/control/client"
	"github.com/sluice-net/sluice/node/policy"
)

// errFindings has the status that there are findings, and nothing to say beside.
var errFindings = errors.New("there are findings")

// lintOptions are the flags of policy lint.
type lintOptions struct {
	conn        connection
	configs     []string
	skipUnknown bool
	form        string
	failOn      string
	least       string
}

// never is the value of --fail-on for which findings are no failure.
const never = "never"

func newPolicyLint() *cobra.Command {
	var o lintOptions
	cmd := &cobra.Command{
		Use:   "lint [--config FILE…]",
		Short: "Find rules that do not do what they seem to",
		Long: `Lint examines rules against each other: those that are shadowed (rules before them take all
of their packets, and decide otherwise), redundant (without them everything would be
decided the same) or contradicting (their order matters, and neither is an exception of the
other), and those that no packet can match. Each finding has a packet that shows it.

With --config it examines files, without a node; else the policy of the running daemon, of
which it also lists the rules that have never decided anything.

The exit status is 0 if there is no finding that matters (--fail-on), 1 if there is one, and
more than 1 if something went wrong: 2 also for what is 1 with other commands.`,
		Example: `  sluice policy lint --config site.yaml
  sluice policy lint --fail-on error --severity warning -o json`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return diffStatus(o.run(cmd)) },
	}
	f := cmd.Flags()
	o.conn.addFlags(cmd)
	f.StringArrayVar(&o.configs, "config", nil, "configuration: a file, a folder, or - for standard input; may be repeated. Default: the daemon's")
	f.BoolVar(&o.skipUnknown, "skip-unknown", false, "leave out objects of kinds that Sluice does not know")
	f.StringVar(&o.failOn, "fail-on", string(api.LintWarning), "the least that gives the exit status 1: error, warning, info or never")
	f.StringVar(&o.least, "severity", string(api.LintInfo), "show only what is at least this: error, warning or info")
	f.StringVarP(&o.form, "output", "o", formTable, "table, wide, json or yaml")
	completeWords(cmd, "output", formTable, formWide, formJSON, formYAML)
	completeWords(cmd, "fail-on", append(api.LintSeverity("").Values(), never)...)
	completeWords(cmd, "severity", api.LintSeverity("").Values()...)
	return cmd
}

// rank is the place of a severity, the worst first; behind all for one that is none.
func rank(severity string) int {
	values := api.LintSeverity("").Values()
	if i := slices.Index(values, severity); i >= 0 {
		return i
	}
	return len(values)
}

func (o *lintOptions) run(cmd *cobra.Command) error {
	out, err := parseOutput(o.form, formTable, formWide, formJSON, formYAML)
	known := api.LintSeverity("").Values()
	switch {
	case err != nil:
		return err
	case o.failOn != never && !slices.Contains(known, o.failOn):
		return withStatus(exitUsage, fmt.Errorf("--fail-on %s: want %s or %s", o.failOn, strings.Join(known, ", "), never))
	case !slices.Contains(known, o.least):
		return withStatus(exitUsage, fmt.Errorf("--severity %s: want %s", o.least, strings.Join(known, " or ")))
	}
	r, err := o.ask(cmd)
	if err != nil {
		return err
	}
	failed := o.failOn != never && slices.ContainsFunc(r.Findings, func(f api.LintFinding) bool { return rank(string(f.Severity)) <= rank(o.failOn) })
	r.Findings = slices.DeleteFunc(r.Findings, func(f api.LintFinding) bool { return rank(string(f.Severity)) > rank(o.least) })
	if out.isTable() {
		err = printLint(newScreen(cmd.OutOrStdout()), r, out.form == formWide)
	} else {
		err = printAs(cmd.OutOrStdout(), out.form, r)
	}
	if err == nil && failed {
		return withStatus(exitDenied, errFindings)
	}
	return err
}

func (o *lintOptions) ask(cmd *cobra.Command) (r *api.PolicyLint, err error) {
	if len(o.configs) > 0 {
		m, err := compileFiles(o.configs, cmd.InOrStdin(), cmd.ErrOrStderr(), o.skipUnknown)
		if err != nil {
			return nil, withStatus(exitConfig, err)
		}
		return policy.Lint(m, nil, 0), nil
	}
	return r, o.conn.ask(func(c *client.Client) error {
		r, err = c.LintPolicy(cmd.Context())
		return err
	})
}

var lintColumns = []column[api.LintFinding]{
	{"SEVERITY", false, func(f *api.LintFinding) string { return string(f.Severity) }},
	{"KIND", false, func(f *api.LintFinding) string { return f.Kind }},
	{"RULE", false, func(f *api.LintFinding) string { return ruleText(&f.Rule) }},
	{"SECTION", false, func(f *api.LintFinding) string { return f.Rule.Section }},
	{"DUE-TO", false, func(f *api.LintFinding) string {
		text := joined(f.Causes, func(r api.RuleRef) string { return ruleText(&r) })
		if f.More {
			text += ",…"
		}
		return text
	}},
	{"WITNESS", false, func(f *api.LintFinding) string { return f.Witness }},
	{"TEXT", true, func(f *api.LintFinding) string { return f.Text }},
	{"ORIGIN", true, func(f *api.LintFinding) string { return origin(f.Rule.Origin) }},
}

func ruleText(r *api.RuleRef) string { return strings.TrimSpace(number(r.ID) + " " + r.Name) }

// printLint is the account for a person.
func printLint(s *screen, r *api.PolicyLint, wide bool) error {
	if err := printTable(s, lintColumns, wide, r.Findings); err != nil {
		return err
	}
	if len(r.Findings) > 0 {
		fmt.Fprintln(s.w)
	}
	_, err := fmt.Fprintf(s.w, "%d rules examined; findings: %d\n", r.Rules, len(r.Findings))
	if err == nil && r.Undecided > 0 {
		_, err = fmt.Fprintf(s.w, "%d questions would have taken too long: there may be more\n", r.Undecided)
	}
	if err == nil && r.More {
		_, err = fmt.Fprintln(s.w, "there may be more contradictions: the first are listed")
	}
	return err
}
