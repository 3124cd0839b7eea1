package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/sluice-net/sluice/api"
	"github.com/sluice-net/sluice/control/client"
)

// deleteOptions are the flags of delete.
type deleteOptions struct {
	conn      connection
	files     manifests
	flags     changeFlags
	namespace string
	all, yes  bool
	selector  string
}

func newDelete() *cobra.Command {
	var o deleteOptions
	cmd := &cobra.Command{
		Use:   "delete KIND NAME… | KIND/NAME… | -f FILE|DIR|-…",
		Short: "Delete objects",
		Long: `Delete takes objects away: those that are named, those that files have, those
with labels, or all of a kind. All of them go at once, or none. Those of a Namespace
go with it.

A NAME may be NAMESPACE/NAME. Without that and without -n, Kubernetes' kinds are
looked for in the namespace "default", and native ones in none. --all and -l mean
objects of all namespaces, unless -n says which; on a terminal you are asked whether
they are to go.`,
		Example: `  sluice delete port/demo/web-1 segment/demo
  sluice delete pods -n demo -l app=web
  sluice delete services --all --yes
  sluice delete -f site.yaml --ignore-not-found`,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := o.flags.parse(); err != nil {
				return err
			}
			if err := o.check(args); err != nil {
				return withStatus(exitUsage, err)
			}
			return o.run(cmd, args)
		},
		ValidArgsFunction: objectArguments(&o.conn, &o.namespace, anyNumber),
	}
	o.conn.addFlags(cmd)
	o.files.addFlags(cmd)
	o.flags.addFlags(cmd)
	addNamespaceFlag(cmd, &o.conn, &o.namespace)
	f := cmd.Flags()
	f.BoolVar(&o.all, "all", false, "all objects of the kind")
	f.StringVarP(&o.selector, "selector", "l", "", "objects of the kind with these labels: app=web,tier!=db")
	f.BoolVar(&o.flags.IgnoreMissing, "ignore-not-found", false, "what is not there is gone already")
	f.BoolVarP(&o.yes, "yes", "y", false, "ask nothing")
	return cmd
}

// check refuses what can't be meant.
func (o *deleteOptions) check(args []string) error {
	named := len(args) > 1 || len(args) == 1 && strings.Contains(args[0], "/")
	switch {
	case len(o.files.paths) > 0 && (len(args) > 0 || o.all || o.selector != ""):
		return errors.New("either -f, or a kind: not both")
	case len(o.files.paths) > 0:
		return nil
	case len(args) == 0:
		return errors.New("delete what? Name a kind and objects, as segment/web, or files by -f")
	case o.all && o.selector != "":
		return errors.New("either --all, or those that -l selects")
	case named && (o.all || o.selector != ""):
		return errors.New("either names, or --all or -l")
	case !named && !o.all && o.selector == "":
		return fmt.Errorf("which %s? Name them, or say --all or -l", args[0])
	}
	return nil
}

func (o *deleteOptions) run(cmd *cobra.Command, args []string) error {
	if len(o.files.paths) > 0 {
		documents, err := o.files.read(cmd)
		if err != nil {
			return err
		}
		return o.change(cmd, func(ctx context.Context, c *client.Client) (*api.ChangeResult, error) {
			return c.DeleteFiles(ctx, documents, o.flags.ChangeOptions)
		})
	}
	chosen, err := parseSelections(args, o.namespace)
	if err != nil {
		return err
	}
	return o.change(cmd, func(ctx context.Context, c *client.Client) (*api.ChangeResult, error) {
		refs, err := o.refs(ctx, c, chosen)
		if err != nil {
			return nil, err
		}
		if len(refs) == 0 {
			return &api.ChangeResult{}, nil
		}
		if (o.all || o.selector != "") && len(refs) > 1 && !o.flags.DryRun && !o.yes {
			if err := confirm(cmd, refs); err != nil {
				return nil, err
			}
		}
		result, err := c.Delete(ctx, refs, o.flags.ChangeOptions)
		return result, elsewhere(ctx, c, chosen, err)
	})
}

// elsewhere adds to the error that an object is not there the namespaces that have one of its
// name: get shows these without -n, and delete does not guess.
func elsewhere(ctx context.Context, c *client.Client, chosen []selection, err error) error {
	if !errors.Is(err, api.ErrNotFound) {
		return err
	}
	for _, s := range chosen {
		for _, ref := range s.names {
			if ref.Namespace != "" || !s.kind.Namespaced() {
				continue
			}
			list, listErr := c.Objects(ctx, api.ObjectFilter{Kinds: []string{ref.Kind}, Names: []string{ref.Name}})
			if listErr != nil {
				continue // what matters is said
			}
			for _, raw := range list.Items {
				if object, readErr := readObject(raw); readErr == nil && object.Meta.Namespace != withDefault(s.kind, ref).Namespace {
					err = fmt.Errorf("%w; there is %s", err, refName(object.ref()))
				}
			}
		}
	}
	return err
}

func (o *deleteOptions) change(cmd *cobra.Command, change func(context.Context, *client.Client) (*api.ChangeResult, error)) error {
	return o.conn.ask(func(c *client.Client) error {
		result, err := change(cmd.Context(), c)
		if err != nil {
			return err
		}
		result.Changes = slices.DeleteFunc(result.Changes, func(c api.ObjectChange) bool { return c.Action == api.ActionUnchanged })
		if len(result.Changes) == 0 {
			fmt.Fprintln(cmd.ErrOrStderr(), "no objects to delete")
		}
		return o.flags.print(result, newScreen(cmd.OutOrStdout()), cmd.ErrOrStderr())
	})
}

// refs are the objects that are to go.
func (o *deleteOptions) refs(ctx context.Context, c *client.Client, chosen []selection) (refs []api.ObjectRef, err error) {
	for _, s := range chosen {
		for _, ref := range s.names {
			refs = append(refs, withDefault(s.kind, ref))
		}
		if len(s.names) > 0 {
			continue
		}
		f := api.ObjectFilter{Kinds: []string{s.kind.Kind}, Labels: o.selector}
		if s.kind.Namespaced() {
			f.Namespace = o.namespace
		}
		list, err := c.Objects(ctx, f)
		if err != nil {
			return nil, err
		}
		for _, raw := range list.Items {
			object, err := readObject(raw)
			if err != nil {
				return nil, err
			}
			refs = append(refs, object.ref())
		}
	}
	return refs, nil
}

// confirm asks on a terminal whether objects are to go. Elsewhere nobody could answer.
func confirm(cmd *cobra.Command, refs []api.ObjectRef) error {
	if !isTerminal(cmd.InOrStdin()) {
		return nil
	}
	const most = 10
	w := cmd.ErrOrStderr()
	for i, ref := range refs {
		if i == most {
			fmt.Fprintf(w, "  and %d more\n", len(refs)-most)
			break
		}
		fmt.Fprintf(w, "  %s\n", refName(ref))
	}
	fmt.Fprintf(w, "Delete these %d objects? [y/N] ", len(refs))
	answer, err := bufio.NewReader(cmd.InOrStdin()).ReadString('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	if !slices.Contains([]string{"y", "yes"}, strings.ToLower(strings.TrimSpace(answer))) {
		return errors.New("nothing was deleted")
	}
	return nil
}
