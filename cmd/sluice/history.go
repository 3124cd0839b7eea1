package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/sluice-net/sluice/api"
	"github.com/sluice-net/sluice/control/client"
)

// historyOptions are the flags of history.
type historyOptions struct {
	conn      connection
	output    string
	namespace string
	filter    api.HistoryFilter
	noHeaders bool

	out output // of output
}

func newHistory() *cobra.Command {
	var o historyOptions
	cmd := &cobra.Command{
		Use:   "history [REVISION | KIND NAME | KIND/NAME]",
		Short: "Show what changed objects, when, and who did it",
		Long: `History lists the revisions of the configuration, newest first; of an object,
those that changed it. Of one revision it shows what it changed in each object.`,
		Example: `  sluice history --limit 10
  sluice history 42
  sluice history segment/web`,
		Args: cobra.MaximumNArgs(2),
		RunE: func(cmd *cobra.Command, args []string) (err error) {
			if o.out, err = parseOutput(o.output, formTable, formWide, formJSON, formYAML); err != nil {
				return err
			}
			if o.filter.Limit < 0 {
				return withStatus(exitUsage, fmt.Errorf("--limit %d is not 0 or more", o.filter.Limit))
			}
			return o.run(cmd, args)
		},
		ValidArgsFunction: func(cmd *cobra.Command, args []string, toComplete string) ([]string, cobra.ShellCompDirective) {
			if len(args) == 0 && toComplete != "" && strings.Trim(toComplete, "0123456789") == "" {
				return o.conn.revisions(cmd, args, toComplete)
			}
			return objectArguments(&o.conn, &o.namespace, 1)(cmd, args, toComplete)
		},
	}
	o.conn.addFlags(cmd)
	addNamespaceFlag(cmd, &o.conn, &o.namespace)
	f := cmd.Flags()
	f.StringVarP(&o.output, "output", "o", formTable, "table, wide, json or yaml")
	f.IntVar(&o.filter.Limit, "limit", 0, "so many at most, newest first; 0 is all")
	f.BoolVar(&o.noHeaders, "no-headers", false, "tables without their first line")
	addRevisionFlag(cmd, &o.conn, &o.filter.Before, "before", "only revisions before this one")
	completeWords(cmd, "output", formTable, formWide, formJSON, formYAML)
	return cmd
}

func (o *historyOptions) run(cmd *cobra.Command, args []string) error {
	s := newScreen(cmd.OutOrStdout())
	if len(args) == 1 {
		if n, err := strconv.ParseUint(args[0], 10, 64); err == nil {
			return o.conn.ask(func(c *client.Client) error { return o.revision(cmd.Context(), c, n, s) })
		}
	}
	return o.conn.ask(func(c *client.Client) error {
		if len(args) > 0 {
			ref, err := oneRef(cmd.Context(), c, args, o.namespace)
			if err != nil {
				return err
			}
			o.filter.Object = ref
		}
		list, err := c.History(cmd.Context(), o.filter)
		if err != nil {
			return err
		}
		if !o.out.isTable() {
			return printList(s.w, o.out.form, list)
		}
		if len(list) == 0 {
			fmt.Fprintln(cmd.ErrOrStderr(), "no revisions")
		}
		return printRevisions(s, list, o.out.form == formWide, o.noHeaders)
	})
}

// oneRef reads arguments that are about one object. Where no namespace is said, it is the
// object of that name, if there is but one; if there is none (any more), that which
// Kubernetes would take it for.
func oneRef(ctx context.Context, c *client.Client, args []string, namespace string) (api.ObjectRef, error) {
	chosen, err := parseSelections(args, namespace)
	if err != nil {
		return api.ObjectRef{}, err
	}
	if len(chosen) != 1 || len(chosen[0].names) != 1 {
		return api.ObjectRef{}, withStatus(exitUsage, errors.New("want one object: KIND NAME, or KIND/NAME"))
	}
	k, ref := chosen[0].kind, chosen[0].names[0]
	if ref.Namespace != "" || !k.Namespaced() {
		return ref, nil
	}
	list, err := c.Objects(ctx, api.ObjectFilter{Kinds: []string{k.Kind}, Names: []string{ref.Name}})
	if err != nil && !errors.Is(err, api.ErrNotFound) {
		return ref, err
	}
	var found []api.ObjectRef
	if err == nil {
		for _, raw := range list.Items {
			object, err := readObject(raw)
			if err != nil {
				return ref, err
			}
			found = append(found, object.ref())
		}
	}
	switch len(found) {
	case 0:
		return withDefault(k, ref), nil
	case 1:
		return found[0], nil
	}
	return ref, withStatus(exitUsage, fmt.Errorf("%s %s is in several namespaces: name one of %s", k.Singular, ref.Name, joined(found, refName)))
}

// revision shows one revision.
func (o *historyOptions) revision(ctx context.Context, c *client.Client, n uint64, s *screen) error {
	v, err := c.Revision(ctx, n)
	if err != nil {
		return err
	}
	if !o.out.isTable() {
		return printAs(s.w, o.out.form, v)
	}
	g := grid{screen: s, header: []string{"", ""}, noHeader: true}
	rows := [][]string{
		{"Revision:", number(v.Revision)},
		{"Time:", v.Time.UTC().Format(time.RFC3339)},
		{"Author:", authorText(&v.Author)},
		{"Verb:", verbText(v)},
		{"Message:", v.Message},
	}
	if err := g.print(rows); err != nil {
		return err
	}
	return printChanges(&api.ChangeResult{Changes: v.Changes}, s)
}

func printRevisions(s *screen, list []api.RevisionView, wide, noHeaders bool) error {
	columns := shown(revisionColumns, wide)
	g := grid{screen: s, header: headers(columns), noHeader: noHeaders}
	rows := make([][]string, len(list))
	for i := range list {
		rows[i] = cells(columns, &list[i])
	}
	return g.print(rows)
}

var revisionColumns = []column[api.RevisionView]{
	{"REVISION", false, func(v *api.RevisionView) string { return number(v.Revision) }},
	{"TIME", false, func(v *api.RevisionView) string { return v.Time.UTC().Format(time.RFC3339) }},
	{"AUTHOR", false, func(v *api.RevisionView) string { return authorText(&v.Author) }},
	{"VERB", false, verbText},
	{"CHANGES", false, func(v *api.RevisionView) string {
		var parts []string
		for _, p := range []struct {
			n    int
			what api.Action
		}{{v.Created, api.ActionCreated}, {v.Configured, api.ActionConfigured}, {v.Deleted, api.ActionDeleted}} {
			if p.n > 0 {
				parts = append(parts, fmt.Sprintf("%s:%d", p.what, p.n))
			}
		}
		return strings.Join(parts, ",")
	}},
	{"PID", true, func(v *api.RevisionView) string { return positive(uint32(max(0, v.Author.PID))) }},
	{"MESSAGE", false, func(v *api.RevisionView) string { return v.Message }},
}

// authorText says who made a change: root@unix, alice@tls, files.
func authorText(a *api.Author) string {
	switch {
	case a.Name != "":
		return a.Name + "@" + a.Via
	case a.UID != nil:
		return fmt.Sprintf("uid=%d@%s", *a.UID, a.Via)
	}
	return a.Via
}

// verbText is the verb, of a rollback with where it went.
func verbText(v *api.RevisionView) string {
	if v.Target != 0 {
		return fmt.Sprintf("%s:%d", v.Verb, v.Target)
	}
	return string(v.Verb)
}
