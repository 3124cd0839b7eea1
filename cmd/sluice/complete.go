package main

import (
	"context"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/sluice-net/sluice/api"
	"github.com/sluice-net/sluice/control"
	"github.com/sluice-net/sluice/control/client"
)

// completeTimeout is how long a shell's completion may wait for the daemon.
const completeTimeout = time.Second

// completion answers a shell that asks what a word may become.
type completion = func(cmd *cobra.Command, args []string, toComplete string) ([]string, cobra.ShellCompDirective)

func completeWords(cmd *cobra.Command, flag string, words ...string) {
	completeFlag(cmd, flag, cobra.FixedCompletions(words, cobra.ShellCompDirectiveNoFileComp))
}

func completeFlag(cmd *cobra.Command, flag string, f completion) {
	if err := cmd.RegisterFlagCompletionFunc(flag, f); err != nil {
		panic(err) // the flag has just been defined
	}
}

// proposals asks the daemon for words; without one that answers in time there are none.
func (c *connection) proposals(ctx context.Context, toComplete string, ask func(context.Context, *client.Client) ([]string, error)) ([]string, cobra.ShellCompDirective) {
	ctx, cancel := context.WithTimeout(ctx, completeTimeout)
	defer cancel()
	var words []string
	err := c.ask(func(cl *client.Client) (err error) {
		words, err = ask(ctx, cl)
		return err
	})
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	slices.Sort(words)
	return slices.DeleteFunc(slices.Compact(words), func(word string) bool { return !strings.HasPrefix(word, toComplete) }),
		cobra.ShellCompDirectiveNoFileComp
}

// addNamespaceFlag adds -n.
func addNamespaceFlag(cmd *cobra.Command, conn *connection, namespace *string) {
	cmd.Flags().StringVarP(namespace, "namespace", "n", "", "of this namespace")
	completeFlag(cmd, "namespace", func(cmd *cobra.Command, _ []string, toComplete string) ([]string, cobra.ShellCompDirective) {
		return conn.proposals(cmd.Context(), toComplete, namespaces)
	})
}

// namespaces are those that are objects, and those that others are in.
func namespaces(ctx context.Context, c *client.Client) (names []string, err error) {
	list, err := c.Objects(ctx, api.ObjectFilter{})
	if err != nil {
		return nil, err
	}
	for _, raw := range list.Items {
		object, err := readObject(raw)
		if err != nil {
			return nil, err
		}
		switch {
		case object.Meta.Namespace != "":
			names = append(names, object.Meta.Namespace)
		case object.Kind == "Namespace":
			names = append(names, object.Meta.Name)
		}
	}
	return names, nil
}

// addRevisionFlag adds a flag that is a revision.
func addRevisionFlag(cmd *cobra.Command, conn *connection, revision *uint64, name, usage string) {
	cmd.Flags().Uint64Var(revision, name, 0, usage)
	completeFlag(cmd, name, conn.revisions)
}

// revisions proposes the newest ones, each with what it was.
func (c *connection) revisions(cmd *cobra.Command, _ []string, toComplete string) ([]string, cobra.ShellCompDirective) {
	const most = 50
	words, directive := c.proposals(cmd.Context(), toComplete, func(ctx context.Context, cl *client.Client) (words []string, err error) {
		list, err := cl.History(ctx, api.HistoryFilter{Limit: most})
		for i := range list {
			r := &list[i]
			words = append(words, strings.TrimSpace(strconv.FormatUint(r.Revision, 10)+"\t"+string(r.Verb)+" "+cell(r.Message)))
		}
		return words, err
	})
	slices.SortFunc(words, func(a, b string) int { return compareRevisions(b, a) })
	return words, directive | cobra.ShellCompDirectiveKeepOrder
}

func compareRevisions(a, b string) int {
	number := func(text string) uint64 {
		text, _, _ = strings.Cut(text, "\t")
		n, _ := strconv.ParseUint(text, 10, 64) // it is one
		return n
	}
	return compareValues(int64(number(a)), int64(number(b)))
}

// completeFiles leaves completion to the shell.
func completeFiles(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
	return []string{"yaml", "yml", "json"}, cobra.ShellCompDirectiveFilterFileExt
}

// anyNumber is how many arguments a command takes that takes as many as there are.
const anyNumber = math.MaxInt - 1

// objectArguments completes KIND NAME… and KIND/NAME…, as many names as a command takes.
func objectArguments(conn *connection, namespace *string, most int) completion {
	return func(cmd *cobra.Command, args []string, toComplete string) ([]string, cobra.ShellCompDirective) {
		word, name, slash := strings.Cut(toComplete, "/")
		inPairs := len(args) == 0 || strings.Contains(args[0], "/")
		switch {
		case inPairs && len(args) >= most, !inPairs && len(args) > most:
			return nil, cobra.ShellCompDirectiveNoFileComp
		case inPairs && slash:
			words, directive := conn.objectsOf(cmd, word, *namespace, name)
			for i := range words {
				words[i] = word + "/" + words[i]
			}
			return without(words, args), directive
		case len(args) == 0:
			return objectKindNames(), cobra.ShellCompDirectiveNoFileComp
		case inPairs:
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		words, directive := conn.objectsOf(cmd, args[0], *namespace, toComplete)
		return without(words, args[1:]), directive
	}
}

func (c *connection) objectsOf(cmd *cobra.Command, word, namespace, toComplete string) ([]string, cobra.ShellCompDirective) {
	kind, found := objectKind(word)
	if !found {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	return c.proposals(cmd.Context(), toComplete, func(ctx context.Context, cl *client.Client) ([]string, error) {
		return objectNames(ctx, cl, kind, namespace)
	})
}

func objectKindNames() (names []string) {
	for _, k := range control.Kinds() {
		names = append(names, k.Singular)
	}
	slices.Sort(names)
	return names
}

// without leaves out what was given already.
func without(words, given []string) []string {
	return slices.DeleteFunc(words, func(word string) bool { return slices.Contains(given, word) })
}

// complete proposes kinds, then names of that kind.
func (o *getOptions) complete(cmd *cobra.Command, args []string, toComplete string) ([]string, cobra.ShellCompDirective) {
	if len(args) == 0 && !strings.Contains(toComplete, "/") {
		return kindNames(false), cobra.ShellCompDirectiveNoFileComp
	}
	word := toComplete
	if len(args) > 0 {
		word = args[0]
	}
	word, _, inPairs := strings.Cut(word, "/")
	view, found := api.ViewKindNamed(strings.ToLower(word))
	if !found || inPairs {
		return objectArguments(&o.conn, &o.namespace, len(args)+1)(cmd, args, toComplete)
	}
	words, directive := o.conn.proposals(cmd.Context(), toComplete, func(ctx context.Context, c *client.Client) ([]string, error) {
		if !resources()[view.Name].named {
			return nil, nil
		}
		l, err := o.listLive(ctx, c, &target{view: &view})
		if err != nil {
			return nil, err
		}
		names := make([]string, len(l.items))
		for i := range l.items {
			names[i] = l.items[i].name
		}
		return names, nil
	})
	return without(words, args[1:]), directive
}
