package main

import (
	"context"
	"fmt"
	"io"
	"slices"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/sluice-net/sluice/api"
	"github.com/sluice-net/sluice/control/client"
)

func newTakeover() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "takeover",
		Short: "Confirm that a device of the host may be kept",
		Long: `A device that the host uses itself (its default route leaves by it, or it has
the host's addresses) is taken only if sluice run --takeover names it, and then on
trial: unless that is confirmed in time, the device is given back. Whoever was cut
off by it can't confirm, and so gets the machine back.`,
	}
	form := formTable
	status := newAsk("status", "Show the devices that the host uses itself", func(ctx context.Context, c *client.Client, w io.Writer) error {
		return takeoverStatus(ctx, c, form, w)
	})
	status.PreRunE = func(*cobra.Command, []string) error {
		if !slices.Contains([]string{formTable, formJSON, formYAML}, form) {
			return withStatus(exitUsage, fmt.Errorf("-o %s: want table, json or yaml", form))
		}
		return nil
	}
	status.Flags().StringVarP(&form, "output", "o", form, "table, json or yaml")
	completeWords(status, "output", formTable, formJSON, formYAML)
	cmd.AddCommand(newAsk("confirm", "Keep the devices that are on trial, also after a restart", confirmTakeover), status)
	return cmd
}

// newAsk makes a command that asks a daemon something.
func newAsk(use, short string, ask func(ctx context.Context, c *client.Client, w io.Writer) error) *cobra.Command {
	var conn connection
	cmd := &cobra.Command{
		Use: use, Short: short, Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return conn.ask(func(c *client.Client) error { return ask(cmd.Context(), c, cmd.OutOrStdout()) })
		},
	}
	conn.addFlags(cmd)
	return cmd
}

func confirmTakeover(ctx context.Context, c *client.Client, w io.Writer) error {
	if err := c.ConfirmTakeover(ctx); err != nil {
		return err
	}
	_, err := fmt.Fprintln(w, "Confirmed.")
	return err
}

func takeoverStatus(ctx context.Context, c *client.Client, form string, w io.Writer) error {
	st, err := c.Status(ctx)
	if err != nil {
		return err
	}
	return printTakeovers(w, st.Takeovers, form, time.Now())
}

// printTakeovers prints a table for a person, or a list as get does.
func printTakeovers(w io.Writer, list []api.TakeoverStatus, form string, now time.Time) error {
	if form != formTable {
		return printList(w, form, list)
	}
	if len(list) == 0 {
		_, err := fmt.Fprintln(w, "No port has or wants a device that the host uses itself.")
		return err
	}
	t := tabwriter.NewWriter(w, 0, 0, 3, ' ', 0)
	fmt.Fprintln(t, "DEVICE\tSTATE\tGIVEN BACK IN\tIN USE")
	for _, s := range list {
		in := ""
		if !s.Until.IsZero() {
			in = max(0, s.Until.Sub(now)).Round(time.Second).String()
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\n", s.Device, s.State, in, s.Reason)
	}
	return t.Flush()
}
