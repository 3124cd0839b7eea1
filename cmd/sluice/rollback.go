package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/sluice-net/sluice/api"
	"github.com/sluice-net/sluice/control/client"
)

func newRollback() *cobra.Command {
	var (
		conn  connection
		flags changeFlags
		to    uint64
	)
	cmd := &cobra.Command{
		Use:   "rollback [--to REVISION]",
		Short: "Go back to the objects of a revision",
		Long: `Rollback makes objects what they were at a revision, without --to at the one
before the last, all at once. That is a revision of its own: rolling back once more
takes it back. Objects that the daemon's own files (sluice run --config) have stay as
they are there.

--dry-run shows what would change in each object, and does nothing.`,
		Example: `  sluice rollback --dry-run
  sluice rollback --to 41 -m "the new rules broke the shop"`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := flags.parse(); err != nil {
				return err
			}
			flags.Diff = flags.Diff || flags.DryRun
			return conn.ask(func(c *client.Client) error {
				target := to
				if !cmd.Flags().Changed("to") {
					var err error
					if target, err = beforeLast(cmd.Context(), c); err != nil {
						return err
					}
				}
				result, err := c.Rollback(cmd.Context(), target, flags.ChangeOptions)
				if err != nil {
					return err
				}
				if len(result.Changes) == 0 {
					fmt.Fprintf(cmd.ErrOrStderr(), "nothing differs from revision %d\n", target)
				}
				return flags.print(result, newScreen(cmd.OutOrStdout()), cmd.ErrOrStderr())
			})
		},
	}
	conn.addFlags(cmd)
	flags.addFlags(cmd)
	addRevisionFlag(cmd, &conn, &to, "to", "the revision to go back to; default: the one before the last")
	return cmd
}

// beforeLast is the revision before the last one.
func beforeLast(ctx context.Context, c *client.Client) (uint64, error) {
	list, err := c.History(ctx, api.HistoryFilter{Limit: 1})
	if err != nil {
		return 0, err
	}
	if len(list) == 0 || list[0].Revision < 2 {
		return 0, errors.New("there is no revision before the last one (sluice history)")
	}
	return list[0].Revision - 1, nil
}
