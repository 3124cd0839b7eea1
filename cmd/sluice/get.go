package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"sigs.k8s.io/yaml"

	"github.com/sluice-net/sluice/api"
	"github.com/sluice-net/sluice/control/client"
)

// The forms in which get prints.
const (
	formTable = "table"
	formWide  = "wide"
	formJSON  = "json"
	formYAML  = "yaml"
)

// resource is a kind of items as the command line shows it.
type resource struct {
	table func(ctx context.Context, c *client.Client, f api.Filter, wide bool, w io.Writer) (rows int, more bool, err error)
	names func(ctx context.Context, c *client.Client) ([]string, error) // for completion
}

// getOptions are the flags of get.
type getOptions struct {
	conn    connection
	output  string
	address string
	filter  api.Filter
}

func newGet() *cobra.Command {
	var o getOptions
	cmd := &cobra.Command{
		Use:   "get KIND [NAME…]",
		Short: "Show what a running node has and does",
		Long:  getHelp(),
		Example: `  sluice get ports
  sluice get ports demo/web-1 -o yaml
  sluice get sessions --port demo/web-1 --protocol tcp --state established
  sluice get drops -o wide
  sluice get routes --address 10.0.2.7`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) == 0 {
				return errors.New("get what? One of " + strings.Join(kindNames(false), ", "))
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			return o.run(cmd.Context(), cmd.OutOrStdout(), cmd.ErrOrStderr(), args[0], args[1:])
		},
		ValidArgsFunction: o.complete,
	}
	f := cmd.Flags()
	o.conn.addFlags(cmd)
	f.StringVarP(&o.output, "output", "o", formTable, "table, wide, json or yaml")
	f.StringVar(&o.filter.Segment, "segment", "", "only what is of this segment")
	f.StringVar(&o.filter.Router, "router", "", "only what is of this router")
	f.StringVar(&o.filter.Port, "port", "", "only what is of this port or pod of the switch")
	f.StringVar(&o.address, "address", "", "only what has this IP address, or one of this network; routes for it")
	f.StringVar(&o.filter.Protocol, "protocol", "", "only sessions of this IP protocol: its name or number")
	f.Uint16Var(&o.filter.L4Port, "l4-port", 0, "only sessions with this TCP, UDP or SCTP port at either end")
	f.StringVar(&o.filter.State, "state", "", "only what is in this state, or of this type or usage")
	f.IntVar(&o.filter.Limit, "limit", 0, "so many at most; 0 is all")
	completeWords(cmd, "output", formTable, formWide, formJSON, formYAML)
	return cmd
}

func completeWords(cmd *cobra.Command, flag string, words ...string) {
	if err := cmd.RegisterFlagCompletionFunc(flag, cobra.FixedCompletions(words, cobra.ShellCompDirectiveNoFileComp)); err != nil {
		panic(err) // the flag has just been defined
	}
}

// getHelp lists the kinds with what they can be filtered by.
func getHelp() string {
	var b strings.Builder
	b.WriteString("Get asks the daemon and prints what it has. Kinds, and what narrows them:\n\n")
	for _, k := range api.ViewKinds() {
		fmt.Fprintf(&b, "  %-10s %s", k.Name, strings.Join(flagsOf(k), " "))
		if k.States != "" {
			fmt.Fprintf(&b, " (%s)", k.States)
		}
		b.WriteByte('\n')
	}
	b.WriteString("  status     how the node does\n  config     the objects in force, as YAML or JSON\n")
	return b.String()
}

// flagsOf are the arguments that narrow a kind.
func flagsOf(k api.ViewKind) (flags []string) {
	for _, field := range k.Filters {
		switch field {
		case "name":
			flags = append(flags, "NAME…")
		case "l4Port":
			flags = append(flags, "--l4-port")
		default:
			flags = append(flags, "--"+field)
		}
	}
	return flags
}

func (o *getOptions) run(ctx context.Context, out, errOut io.Writer, kindName string, names []string) error {
	if !slices.Contains([]string{formTable, formWide, formJSON, formYAML}, o.output) {
		return withStatus(exitUsage, fmt.Errorf("-o %s: want table, wide, json or yaml", o.output))
	}
	if o.filter.Limit < 0 {
		return withStatus(exitUsage, fmt.Errorf("--limit %d is not 0 or more", o.filter.Limit))
	}
	f := o.filter
	f.Names = names
	if o.address != "" {
		var err error
		if f.Address, err = api.ParseAddress(o.address); err != nil {
			return withStatus(exitUsage, fmt.Errorf("--address %s: %w", o.address, err))
		}
	}
	c, err := o.conn.dial()
	if err != nil {
		return err
	}
	defer c.Close()
	if kindName == "status" || kindName == "config" {
		if len(f.Query()) > 0 {
			return withStatus(exitUsage, fmt.Errorf("%s has neither names nor filters", kindName))
		}
		if kindName == "status" {
			return askFailure(getStatus(ctx, c, o.output, out))
		}
		return askFailure(getConfig(ctx, c, o.output, out))
	}
	kind, found := api.ViewKindNamed(kindName)
	if !found {
		return withStatus(exitUsage, api.NotFound("kind", kindName, kindNames(true)))
	}
	if len(names) > 0 && kind.NameOf == "" {
		return withStatus(exitUsage, fmt.Errorf("%s have no names: use filters such as --address and --port", kind.Name))
	}
	more, err := o.print(ctx, c, kind, f, out, errOut)
	if err == nil && more {
		fmt.Fprintf(errOut, "there are more than %d (--limit)\n", f.Limit)
	}
	return askFailure(err)
}

func (o *getOptions) print(ctx context.Context, c *client.Client, kind api.ViewKind, f api.Filter, out, errOut io.Writer) (more bool, err error) {
	if o.output == formJSON || o.output == formYAML {
		return printItems(ctx, c, kind, f, o.output, out)
	}
	rows, more, err := resources()[kind.Name].table(ctx, c, f, o.output == formWide, out)
	if err == nil && rows == 0 {
		fmt.Fprintf(errOut, "no %s\n", plural(kind))
	}
	return more, err
}

// plural names the items of a kind.
func plural(k api.ViewKind) string {
	if strings.HasSuffix(k.One, "s") {
		return k.One + "es"
	}
	return k.One + "s"
}

// kindNames are the names of all that get shows, also the short ones.
func kindNames(short bool) (names []string) {
	for _, k := range api.ViewKinds() {
		names = append(names, k.Name)
		if short {
			names = append(names, k.Aliases...)
		}
	}
	return append(names, "status", "config")
}

// printItems passes on what the daemon says, also fields that this program does not
// know, item by item. One that was asked for by its name is printed by itself.
func printItems(ctx context.Context, c *client.Client, kind api.ViewKind, f api.Filter, form string, w io.Writer) (more bool, err error) {
	if len(f.Names) == 1 {
		list, more, err := client.List[json.RawMessage](ctx, c, kind.Name, f)
		if err == nil && len(list) == 1 {
			return more, printValue(w, form, list[0])
		}
		if err != nil {
			return false, err
		}
	}
	p := itemPrinter{w: w, form: form}
	if more, err = client.Each(ctx, c, kind.Name, f, func(item *json.RawMessage) error { return p.print(*item) }); err != nil {
		return false, err
	}
	return more, p.end()
}

// printValue prints an object.
func printValue(w io.Writer, form string, raw []byte) error {
	text, err := inForm(form, raw, "")
	if err != nil {
		return err
	}
	_, err = w.Write(append(bytes.TrimRight(text, "\n"), '\n'))
	return err
}

// inForm makes JSON readable, or YAML of it; prefix begins all lines but the first.
func inForm(form string, raw []byte, prefix string) ([]byte, error) {
	if form == formYAML {
		text, err := yaml.JSONToYAML(raw)
		text = bytes.TrimRight(text, "\n")
		return bytes.ReplaceAll(text, []byte("\n"), []byte("\n"+prefix)), err
	}
	var b bytes.Buffer
	err := json.Indent(&b, raw, prefix, "  ")
	return b.Bytes(), err
}

// itemPrinter prints a List, one item at a time.
type itemPrinter struct {
	w    io.Writer
	form string
	n    int
}

func (p *itemPrinter) print(raw []byte) error {
	begin, between, prefix := "{\n  \"items\": [\n    ", ",\n    ", "    "
	if p.form == formYAML {
		begin, between, prefix = "items:\n- ", "\n- ", "  "
	}
	text, err := inForm(p.form, raw, prefix)
	if err != nil {
		return err
	}
	if p.n++; p.n > 1 {
		begin = between
	}
	_, err = p.w.Write(append([]byte(begin), text...))
	return err
}

func (p *itemPrinter) end() error {
	text := "\n  ]\n}\n"
	switch {
	case p.n == 0 && p.form == formYAML:
		text = "items: []\n"
	case p.n == 0:
		text = "{\n  \"items\": []\n}\n"
	case p.form == formYAML:
		text = "\n"
	}
	_, err := io.WriteString(p.w, text)
	return err
}

// completeTimeout is how long a shell's completion may wait for the daemon.
const completeTimeout = time.Second

// complete proposes kinds, then names of that kind.
func (o *getOptions) complete(cmd *cobra.Command, args []string, toComplete string) ([]string, cobra.ShellCompDirective) {
	if len(args) == 0 {
		return kindNames(false), cobra.ShellCompDirectiveNoFileComp
	}
	kind, found := api.ViewKindNamed(args[0])
	c, err := o.conn.dial()
	if !found || err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	defer c.Close()
	ctx, cancel := context.WithTimeout(cmd.Context(), completeTimeout)
	defer cancel()
	names, err := resources()[kind.Name].names(ctx, c)
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	slices.Sort(names)
	return slices.DeleteFunc(slices.Compact(names), func(name string) bool {
		return !strings.HasPrefix(name, toComplete) || slices.Contains(args[1:], name)
	}), cobra.ShellCompDirectiveNoFileComp
}
