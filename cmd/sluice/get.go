package main

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/sluice-net/sluice/api"
	"github.com/sluice-net/sluice/control"
	"github.com/sluice-net/sluice/control/client"
)

// getOptions are the flags of get.
type getOptions struct {
	conn    connection
	output  string
	address string
	filter  api.Filter // of live views

	namespace        string
	allNamespaces    bool
	selector, fields string
	showLabels       bool
	noHeaders        bool
	sortBy           string

	watch, watchOnly, watchEvents bool

	ids   []uint // of rules
	vip   string
	table string // of resources, in place of the view's own; empty: that

	out output // of output
}

func newGet() *cobra.Command {
	var o getOptions
	cmd := &cobra.Command{
		Use:   "get KIND[,KIND…] [NAME…] | KIND/NAME…",
		Short: "Show objects, and what a running node has and does",
		Long:  getHelp(),
		Example: `  sluice get ports
  sluice get pods -n demo -l app=web -o wide
  sluice get segment/web ports/demo/web-1 -o yaml
  sluice get services -w
  sluice get all -o name
  sluice get segments -o custom-columns=NAME:.metadata.name,MTU:.spec.mtu
  sluice get sessions --port demo/web-1 --protocol tcp --state established
  sluice get routes --address 10.0.2.7
  sluice get rules --port demo/web-1
  sluice get rules --unused -o wide
  sluice get virtualservers
  sluice get members --service demo/web -o wide`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) == 0 {
				return errors.New("get what? One of " + strings.Join(kindNames(false), ", "))
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			return o.run(cmd, args)
		},
		ValidArgsFunction: o.complete,
	}
	f := cmd.Flags()
	o.conn.addFlags(cmd)
	f.StringVarP(&o.output, "output", "o", formTable, "table, wide, json, yaml, name, jsonpath=TEMPLATE or custom-columns=HEADER:FIELD,…")
	addNamespaceFlag(cmd, &o.conn, &o.namespace)
	f.BoolVarP(&o.allNamespaces, "all-namespaces", "A", false, "those of all namespaces: the default")
	f.StringVarP(&o.selector, "selector", "l", "", "only objects with these labels: app=web,tier!=db,env in (a,b)")
	f.StringVar(&o.fields, "field-selector", "", "only objects with these fields: metadata.name, metadata.namespace or status.source")
	f.BoolVar(&o.showLabels, "show-labels", false, "a column of labels")
	f.BoolVar(&o.noHeaders, "no-headers", false, "tables without their first line")
	f.StringVar(&o.sortBy, "sort-by", "", "order by a field, as .metadata.name")
	f.BoolVarP(&o.watch, "watch", "w", false, "go on, and print what is new or changes")
	f.BoolVar(&o.watchOnly, "watch-only", false, "print only what is new or changes from now on")
	f.BoolVar(&o.watchEvents, "output-watch-events", false, "with --watch: say whether things are ADDED, MODIFIED or DELETED")
	o.addSessionFilters(cmd)
	f.StringVar(&o.filter.Router, "router", "", "only what is of this router")
	f.StringVar(&o.filter.Pool, "pool", "", "only what is of this pool of members: its name, or its object's")
	f.StringVar(&o.filter.Section, "section", "", "only what is of this section of the firewall's policy: its name, or its object's")
	f.UintSliceVar(&o.ids, "id", nil, "only rules with these IDs, as names do")
	f.BoolVar(&o.filter.Unused, "unused", false, "only rules that have decided nothing so far")
	f.IntVar(&o.filter.Limit, "limit", 0, "so many at most; 0 is all")
	completeWords(cmd, "output", formTable, formWide, formJSON, formYAML, formName, formJSONPath+"=", formColumns+"=")
	return cmd
}

// addSessionFilters adds the flags that narrow sessions, and other live views.
func (o *getOptions) addSessionFilters(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringVar(&o.filter.Segment, "segment", "", "only what is of this segment")
	f.StringVar(&o.filter.Port, "port", "", "only what is of this port or pod of the switch")
	f.StringVar(&o.address, "address", "", "only what has this IP address, or one of this network; routes for it")
	f.StringVar(&o.filter.Protocol, "protocol", "", "only what is of this IP protocol: its name or number")
	f.Uint16Var(&o.filter.L4Port, "l4-port", 0, "only what has this TCP, UDP or SCTP port, at either end")
	f.StringVar(&o.filter.State, "state", "", "only what is in this state, or of this type, usage, action or category")
	f.StringVar(&o.vip, "vip", "", "only what is of the virtual server at this address, or ADDRESS:PORT")
	f.StringVar(&o.filter.Service, "service", "", "only what is of this service or virtual server: its name, or NAMESPACE/NAME")
	f.StringVar(&o.filter.Member, "member", "", "only sessions that this member serves: its name, address or ADDRESS:PORT")
	f.Uint32Var(&o.filter.Rule, "rule", 0, "only sessions that the firewall's rule with this ID let pass")
}

// getHelp lists the kinds with what they can be filtered by.
func getHelp() string {
	var b strings.Builder
	b.WriteString(`Get asks the daemon and prints what it has.

Kinds of objects, by their kind, plural, singular or short name, with their group
if need be; "all" is all of them:

`)
	for _, k := range control.Kinds() {
		fmt.Fprintf(&b, "  %s\n", strings.Join(append([]string{k.Plural}, k.Short...), " "))
	}
	b.WriteString("\nWhat the node has and does, and what narrows it:\n\n")
	for _, k := range api.ViewKinds() {
		fmt.Fprintf(&b, "  %-14s %s", k.Name, strings.Join(flagsOf(k), " "))
		if k.States != "" {
			fmt.Fprintf(&b, " (%s)", k.States)
		}
		b.WriteByte('\n')
	}
	b.WriteString(`  status     how the node does
  config     the objects in force, as YAML or JSON

Tables of ports and segments show all that there are, also those made of Pods and
Namespaces, and how they do. The other forms show them as objects, with a status
that says the same; ports.sluice.dev and segments.sluice.dev are the objects that
were written, and nothing else. So it is with groups, whose effective members the
table has; with virtualservers and pools, which are also made of Services; with
natrules; and with ippools, whose table has the stocks of segments, too.

Rules are those in force, of all kinds of policies, in the order in which they are
asked: the first that matches decides. Policies are the sections that they are in.
--port shows the rules that are in force at a port.

Without -n, objects of all namespaces are shown: objects of native kinds need not
be in any. NAMESPACE/NAME is a name, too.
`)
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

// plural names the items of a kind.
func plural(k api.ViewKind) string {
	if stem, found := strings.CutSuffix(k.One, "y"); found {
		return stem + "ies"
	}
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
	for _, k := range control.Kinds() {
		names = append(names, k.Plural)
		if short {
			names = append(names, append(k.Short, k.Singular)...)
		}
	}
	names = append(names, "status", "config", "all")
	slices.Sort(names)
	return slices.Compact(names)
}

// target is a kind, or all, and what of it is wanted.
type target struct {
	view  *api.ViewKind     // whose table is shown; nil for objects
	kind  *control.KindInfo // of objects; nil for a view whose items are none
	all   bool              // objects of all kinds; no view, no kind
	names []api.ObjectRef   // of these; none: all that there are
}

func (t *target) plural() string {
	switch {
	case t.all:
		return "objects"
	case t.view != nil:
		return t.view.Name
	}
	return t.kind.Plural
}

// parseTargets reads the arguments of get.
func parseTargets(args []string, namespace string) ([]*target, error) {
	var list []*target
	add := func(word string, names []string) error {
		t, err := newTarget(word, names, namespace)
		if err != nil {
			return withStatus(exitUsage, err)
		}
		for _, other := range list {
			if other.plural() == t.plural() && (other.view == nil) == (t.view == nil) {
				other.names = append(other.names, t.names...)
				return nil
			}
		}
		list = append(list, t)
		return nil
	}
	pairs, err := splitArguments(args)
	if err != nil {
		return nil, withStatus(exitUsage, err)
	}
	for _, p := range pairs {
		if err := add(p.word, p.names); err != nil {
			return nil, err
		}
	}
	return list, nil
}

func newTarget(word string, names []string, namespace string) (*target, error) {
	t := &target{all: word == "all"}
	if view, found := api.ViewKindNamed(strings.ToLower(word)); found {
		t.view = &view
	}
	if t.view == nil || hasObjects(t.view.Name) {
		if kind, found := objectKind(word); found {
			t.kind = &kind
		}
	}
	switch {
	case t.view == nil && t.kind == nil && !t.all:
		if known := kindNames(true); len(api.Near(word, known)) > 0 {
			return nil, api.NotFound("kind", word, known)
		}
		return nil, fmt.Errorf("there is no kind %s (%s)", word, control.KindHint(word))
	case t.all && len(names) > 0:
		return nil, errors.New("all and names: of which kind are they?")
	case t.view != nil && t.view.NameOf == "" && len(names) > 0:
		return nil, fmt.Errorf("%s have no names: use filters such as --address and --port", t.view.Name)
	}
	for _, name := range names {
		ref := api.ObjectRef{Name: name}
		if t.kind != nil {
			var err error
			if ref, err = refOf(*t.kind, name, namespace); err != nil {
				return nil, err
			}
		}
		t.names = append(t.names, ref)
	}
	return t, nil
}

// addIDs makes names of --id.
func (o *getOptions) addIDs(targets []*target) error {
	for _, t := range targets {
		if len(o.ids) > 0 && (t.view == nil || t.view.Name != "rules") {
			return fmt.Errorf("--id is for rules: %s have none", t.plural())
		}
		for _, id := range o.ids {
			t.names = append(t.names, api.ObjectRef{Name: number(id)})
		}
	}
	return nil
}

// check refuses flags that mean nothing for what is asked for.
func (o *getOptions) check(targets []*target) error {
	if o.namespace != "" && o.allNamespaces {
		return errors.New("-n and -A: of one namespace, or of all?")
	}
	if o.filter.Limit < 0 {
		return fmt.Errorf("--limit %d is not 0 or more", o.filter.Limit)
	}
	narrow := o.filter
	narrow.Limit = 0
	query := narrow.Query()
	ofObjects := o.selector != "" || o.fields != "" || o.showLabels || o.namespace != ""
	for _, t := range targets {
		switch {
		case t.view != nil && t.kind == nil && ofObjects:
			return fmt.Errorf("%s are no objects, which have labels, fields and namespaces; they can be narrowed by %s", t.plural(), strings.Join(flagsOf(*t.view), " "))
		case t.view != nil && t.kind == nil && len(targets) > 1 && !o.out.isTable() && o.out.form != formName:
			return fmt.Errorf("-o %s can't show %s beside others: ask for them by themselves", o.out.form, t.plural())
		case t.view == nil && len(query) > 0:
			return fmt.Errorf("%s can be narrowed by names, -n, -l, --field-selector and --limit", t.plural())
		case t.all && o.watching():
			return errors.New("all can't be watched: name a kind")
		}
	}
	if o.watching() && len(targets) > 1 {
		return errors.New("one kind can be watched at a time")
	}
	if o.watching() && (o.sortBy != "" || o.filter.Limit > 0) {
		return errors.New("what is watched comes as it happens: --sort-by and --limit mean nothing there")
	}
	if o.sortBy != "" {
		_, err := parseField(o.sortBy)
		return err
	}
	return nil
}

func (o *getOptions) watching() bool { return o.watch || o.watchOnly }

// needRaw reports whether items' JSON is of interest, not only their cells.
func (o *getOptions) needRaw() bool { return !o.out.isTable() || o.sortBy != "" }

func (o *getOptions) run(cmd *cobra.Command, args []string) (err error) {
	if o.out, err = parseOutput(o.output, formTable, formWide, formJSON, formYAML, formName, formJSONPath, formColumns); err != nil {
		return err
	}
	if o.address != "" {
		if o.filter.Address, err = api.ParseAddress(o.address); err != nil {
			return withStatus(exitUsage, fmt.Errorf("--address %s: %w", o.address, err))
		}
	}
	if o.vip != "" {
		if o.filter.VIP, err = api.ParseVIP(o.vip); err != nil {
			return withStatus(exitUsage, fmt.Errorf("--vip %s: %w", o.vip, err))
		}
	}
	ctx := cmd.Context()
	if args[0] == "status" || args[0] == "config" {
		return o.single(cmd, args)
	}
	targets, err := parseTargets(args, o.namespace)
	if err != nil {
		return err
	}
	if err := o.addIDs(targets); err != nil {
		return withStatus(exitUsage, err)
	}
	if err := o.check(targets); err != nil {
		return withStatus(exitUsage, err)
	}
	return o.conn.ask(func(c *client.Client) error {
		s := newScreen(cmd.OutOrStdout())
		if o.watching() {
			return o.follow(ctx, c, targets[0], s, cmd.ErrOrStderr())
		}
		return o.show(ctx, c, targets, s, cmd.ErrOrStderr())
	})
}

// single shows what there is one of.
func (o *getOptions) single(cmd *cobra.Command, args []string) error {
	other := false
	for _, flag := range []string{"namespace", "all-namespaces", "selector", "field-selector", "show-labels", "no-headers", "sort-by", "watch", "watch-only"} {
		other = other || cmd.Flags().Changed(flag)
	}
	if len(args) > 1 || len(o.filter.Query()) > 0 || other {
		return withStatus(exitUsage, fmt.Errorf("%s has neither names nor filters", args[0]))
	}
	if !o.out.isTable() && o.out.form != formJSON && o.out.form != formYAML {
		return withStatus(exitUsage, fmt.Errorf("-o %s: want table, wide, json or yaml", o.output))
	}
	return o.conn.ask(func(c *client.Client) error {
		if args[0] == "status" {
			return getStatus(cmd.Context(), c, o.out.form, cmd.OutOrStdout())
		}
		return getConfig(cmd.Context(), c, o.out.form, cmd.OutOrStdout())
	})
}
