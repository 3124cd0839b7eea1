package main

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/sluice-net/sluice/api"
	"github.com/sluice-net/sluice/control/client"
)

func newLogFirewall() *cobra.Command {
	var (
		at     connection
		f      api.FirewallLogFilter
		rule   uint32
		follow bool
	)
	cmd := &cobra.Command{
		Use:   "firewall",
		Short: "Show what logged rules have done",
		Long: `Firewall shows the last lines of the firewall's log, in NSX's shape, oldest first: what rules
with logged: true have let in or denied, and how sessions have ended. The daemon keeps some
4000; sluice run --firewall-log FILE writes all of them.`,
		Example: `  sluice log firewall -f
  sluice log firewall --rule 1003 --port shop/db`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if f.Lines < 1 {
				return withStatus(exitUsage, fmt.Errorf("--lines %d: want 1 at least", f.Lines))
			}
			f.Rule = rule
			return at.ask(func(c *client.Client) error {
				if err := firewallLines(cmd.Context(), c, &f, cmd.OutOrStdout()); err != nil || !follow {
					return err
				}
				return followFirewall(cmd.Context(), c, &f, cmd.OutOrStdout(), cmd.ErrOrStderr())
			})
		},
	}
	flags := cmd.Flags()
	flags.IntVarP(&f.Lines, "lines", "n", 100, "how many lines, at most")
	flags.BoolVarP(&follow, "follow", "f", false, "show further lines as they come, until interrupted")
	flags.StringVar(&f.Port, "port", "", "only what was asked at this port or pod")
	flags.Uint32Var(&rule, "rule", 0, "only what the rule with this ID has done")
	at.addFlags(cmd)
	return cmd
}

// firewallLines prints lines, and notes the last one as that after which the next ones come.
func firewallLines(ctx context.Context, c *client.Client, f *api.FirewallLogFilter, w io.Writer) error {
	list, err := c.FirewallLog(ctx, f)
	if err != nil {
		return err
	}
	for i := range list {
		f.After = list[i].Number
		if _, err := fmt.Fprintln(w, list[i].Line); err != nil {
			return err
		}
	}
	return nil
}

// followFirewall prints lines as they come. A daemon that begins anew counts from the beginning.
func followFirewall(ctx context.Context, c *client.Client, f *api.FirewallLogFilter, w, errOut io.Writer) error {
	const many = 4096
	f.Lines = many
	quiet := false
	for {
		if err := pause(ctx, followPause); err != nil {
			return err
		}
		err := firewallLines(ctx, c, f, w)
		switch {
		case errors.Is(err, client.ErrNoDaemon), errors.Is(err, client.ErrBroken):
			if !quiet {
				fmt.Fprintf(errOut, "%v; waiting for it\n", err)
			}
			quiet, f.After = true, 0
		case err != nil:
			return err
		default:
			quiet = false
		}
	}
}
