package main

import (
	"errors"
	"fmt"
	"io"
	"net"
	"strings"

	"github.com/spf13/cobra"

	"github.com/sluice-net/sluice/api"
	"github.com/sluice-net/sluice/control/client"
)

// evalOptions are the flags of policy eval.
type evalOptions struct {
	conn        connection
	configs     []string
	skipUnknown bool
	form        string
	query       api.PolicyQuery
	typ, code   uint8
}

func newPolicyEval() *cobra.Command {
	var o evalOptions
	cmd := &cobra.Command{
		Use:   "eval [--config FILE…] --from END --to END --protocol PROTOCOL [--port N]",
		Short: "Say whether a session may begin, and which rules decide",
		Long: `Eval says what the firewall would do with the first packet of a session, at both places
where rules are asked: at the sender's port and at the receiver's. Both have to allow
it. With --config it asks the policy of files, without a node; else that of the running
daemon. Nothing is sent, and nothing is counted.

An END is a port's or pod's name, or an IP address: a port's, or that of somebody
outside. PORT@ADDRESS is an address behind a port. Any of them may have the transport's
port behind a colon. The sender's is 49152 if none is given.

With -v it names the rules, too, that would have matched but for one condition.

The exit status is 0 if the session may begin, 1 if not, and more than 1 if something
went wrong: 2 also for what is 1 with other commands.`,
		Example: `  sluice policy eval --from shop/web-1 --to shop/db-1 --protocol tcp --port 5432
  sluice policy eval --config site.yaml --from 192.0.2.7 --to shop/web-1:443 --protocol tcp -v
  sluice policy eval --config site.yaml --from shop/a --to shop/b --protocol icmp --type 8`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			out, err := parseOutput(o.form, formTable, formJSON, formYAML)
			if err != nil {
				return err
			}
			if cmd.Flags().Changed("type") {
				o.query.ICMPType = &o.typ
			}
			if cmd.Flags().Changed("code") {
				o.query.ICMPCode = &o.code
			}
			return diffStatus(o.run(cmd, out.form))
		},
	}
	f := cmd.Flags()
	o.conn.addFlags(cmd)
	f.StringArrayVar(&o.configs, "config", nil, "configuration: a file, a folder, or - for standard input; may be repeated. Default: the daemon's")
	f.BoolVar(&o.skipUnknown, "skip-unknown", false, "leave out objects of kinds that Sluice does not know")
	f.StringVar(&o.query.From, "from", "", "who sends: PORT, PORT@ADDRESS or ADDRESS, with or without :PORT")
	f.StringVar(&o.query.To, "to", "", "who receives, likewise")
	f.StringVar(&o.query.Protocol, "protocol", "", "the IP protocol: its name or number")
	f.Uint16Var(&o.query.Port, "port", 0, "the receiver's TCP, UDP or SCTP port, if --to has none")
	f.Uint8Var(&o.typ, "type", 0, "of ICMP; default: an echo request")
	f.Uint8Var(&o.code, "code", 0, "of ICMP")
	f.BoolVarP(&o.query.Explain, "verbose", "v", false, "also name the rules that nearly matched, and what did not hold")
	f.StringVarP(&o.form, "output", "o", formTable, "table, json or yaml")
	completeWords(cmd, "output", formTable, formJSON, formYAML)
	for _, name := range []string{"from", "to", "protocol"} {
		if err := cmd.MarkFlagRequired(name); err != nil {
			panic(err) // the flag has just been defined
		}
	}
	return cmd
}

func (o *evalOptions) run(cmd *cobra.Command, form string) error {
	a, err := o.ask(cmd)
	switch {
	case errors.Is(err, api.ErrInvalid), errors.Is(err, api.ErrNotFound):
		return withStatus(exitUsage, err)
	case err != nil:
		return err
	}
	if form == formTable {
		err = printPolicyAnswer(newScreen(cmd.OutOrStdout()), a)
	} else {
		err = printAs(cmd.OutOrStdout(), form, a)
	}
	if err == nil && a.Verdict != api.SecurityAllow {
		return withStatus(exitDenied, errDenied)
	}
	return err
}

func (o *evalOptions) ask(cmd *cobra.Command) (a *api.PolicyAnswer, err error) {
	if len(o.configs) > 0 {
		e, err := loadPolicy(o.configs, cmd.InOrStdin(), cmd.ErrOrStderr(), o.skipUnknown)
		if err != nil {
			return nil, err
		}
		return e.Evaluate(&o.query)
	}
	return a, o.conn.ask(func(c *client.Client) error {
		a, err = c.EvaluatePolicy(cmd.Context(), &o.query)
		return err
	})
}

// pointRow is a rule that has a say at one of the two places, or why none has.
type pointRow struct {
	at, port, why string
	verdict       api.SecurityAction
	rule          *api.RuleRef
}

var pointColumns = []column[pointRow]{
	{"AT", false, func(r *pointRow) string { return r.at }},
	{"PORT", false, func(r *pointRow) string { return r.port }},
	{"ACTION", false, func(r *pointRow) string { return string(r.verdict) }},
	{"RULE", false, func(r *pointRow) string {
		if r.rule == nil {
			return r.why
		}
		return ruleText(r.rule)
	}},
	{"CATEGORY", false, ofRule(func(r *api.RuleRef) string { return string(r.Category) })},
	{"SECTION", false, ofRule(func(r *api.RuleRef) string { return r.Section })},
	{"ORIGIN", false, ofRule(func(r *api.RuleRef) string { return origin(r.Origin) })},
}

func ofRule(text func(*api.RuleRef) string) func(*pointRow) string {
	return func(r *pointRow) string {
		if r.rule == nil {
			return ""
		}
		return text(r.rule)
	}
}

// rows are the rules that have a say, in the order in which they are asked.
func rows(at, port string, p *api.PolicyPoint) (list []pointRow) {
	for _, rule := range []*api.RuleRef{p.Ethernet, p.Jump, p.Rule} {
		if rule != nil {
			list = append(list, pointRow{at: at, port: port, verdict: rule.Action, rule: rule})
		}
	}
	if p.Rule == nil {
		list = append(list, pointRow{at: at, port: port, verdict: p.Verdict, why: "(" + p.Reason + ")"})
	}
	return list
}

// nearRow is a rule that nearly matched.
type nearRow struct {
	at   string
	near api.NearRule
}

var nearColumns = []column[nearRow]{
	{"AT", false, func(r *nearRow) string { return r.at }},
	{"ACTION", false, func(r *nearRow) string { return string(r.near.Action) }},
	{"RULE", false, func(r *nearRow) string { return ruleText(&r.near.RuleRef) }},
	{"SECTION", false, func(r *nearRow) string { return r.near.Section }},
	{"BUT", false, func(r *nearRow) string { return r.near.Failed }},
}

const atEgress, atIngress = "egress", "ingress"

// printPolicyAnswer is the account for a person.
func printPolicyAnswer(s *screen, a *api.PolicyAnswer) error {
	what := a.Protocol
	if a.ICMP != nil {
		what += fmt.Sprintf(" type %d code %d", a.ICMP.Type, a.ICMP.Code)
	}
	if _, err := fmt.Fprintf(s.w, "%s: %s from %s to %s\n\n", a.Verdict, what, endText(&a.From), endText(&a.To)); err != nil {
		return err
	}
	list := append(rows(atEgress, a.From.Port, &a.Egress), rows(atIngress, a.To.Port, &a.Ingress)...)
	if err := printTable(s, pointColumns, false, list); err != nil {
		return err
	}
	var near []nearRow
	for _, n := range a.Egress.Near {
		near = append(near, nearRow{atEgress, n})
	}
	for _, n := range a.Ingress.Near {
		near = append(near, nearRow{atIngress, n})
	}
	if len(near) > 0 {
		fmt.Fprintf(s.w, "\nBefore that, these would have matched:\n\n")
		if err := printTable(s, nearColumns, false, near); err != nil {
			return err
		}
	}
	return printNotes(s.w, a.Notes)
}

func printNotes(w io.Writer, notes []string) error {
	if len(notes) == 0 {
		return nil
	}
	_, err := fmt.Fprintf(w, "\nNote: %s\n", strings.Join(notes, "\nNote: "))
	return err
}

// endText is an end of a packet: the address, and the port that has it.
func endText(e *api.PolicyEnd) string {
	text := e.Address.String()
	if e.L4Port != 0 {
		text = net.JoinHostPort(text, number(e.L4Port))
	}
	if e.Port != "" {
		text += " (" + e.Port + ")"
	}
	return text
}
