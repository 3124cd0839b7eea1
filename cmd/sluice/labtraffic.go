package main

import (
	"cmp"
	"encoding/json"
	"fmt"
	"net/netip"
	"os"
	"time"

	"github.com/spf13/cobra"

	labtraffic "github.com/sluice-net/sluice/lab/traffic"
)

// newLabPrograms are what scenarios run in their pods. They are hidden: outside of a lab they are of no use.
func newLabPrograms() []*cobra.Command {
	return []*cobra.Command{newLabServe(), newLabEcho(), newLabConnect(), newLabTalk(), newLabFlood()}
}

// newLabServe is the web server that tells who it is.
func newLabServe() *cobra.Command {
	var web labtraffic.Web
	cmd := &cobra.Command{
		Use:    "serve",
		Short:  "Run a web server that tells its name, and what others have told it",
		Hidden: true,
		Args:   cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return withStatus(exitFailure, web.Run(cmd.Context()))
		},
	}
	f := cmd.Flags()
	f.StringVar(&web.Listen, "listen", ":80", "address and port")
	f.StringVar(&web.Name, "name", cmp.Or(os.Getenv("SLUICE_POD"), "nobody"), "what it tells")
	f.StringArrayVar(&web.Ask, "ask", nil, "the URL of a server that it asks for each page; may be repeated")
	f.DurationVar(&web.Patience, "patience", 2*time.Second, "how long it waits for each of them")
	return cmd
}

func newLabEcho() *cobra.Command {
	var e labtraffic.Echo
	cmd := &cobra.Command{
		Use:    "echo",
		Short:  "Send back what comes by TCP and UDP; at the end say how much it was",
		Hidden: true,
		Args:   cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			heard, err := e.Run(cmd.Context())
			return printLabReport(cmd, map[string]any{"ports": heard}, err)
		},
	}
	cmd.Flags().IntSliceVar(&e.Ports, "ports", []int{7}, "ports that it listens at")
	return cmd
}

func newLabConnect() *cobra.Command {
	var a labtraffic.Attempt
	cmd := &cobra.Command{
		Use:    "connect tcp|udp ADDRESS:PORT",
		Short:  "Try to reach somebody, and say in one word what came of it",
		Hidden: true,
		Args:   cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) (err error) {
			if a.Protocol, a.To, err = labTarget(args); err != nil {
				return err
			}
			result, err := labtraffic.Connect(cmd.Context(), a)
			return printLabReport(cmd, result, err)
		},
	}
	cmd.Flags().DurationVar(&a.Patience, "patience", time.Second, "after which nobody has answered")
	return cmd
}

func newLabTalk() *cobra.Command {
	var t labtraffic.Talk
	cmd := &cobra.Command{
		Use:    "talk tcp|udp ADDRESS:PORT",
		Short:  "Talk with a lab's echo server, and say what came of it",
		Hidden: true,
		Args:   cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) (err error) {
			if t.Protocol, t.To, err = labTarget(args); err != nil {
				return err
			}
			report, err := t.Run(cmd.Context())
			return printLabReport(cmd, report, err)
		},
	}
	f := cmd.Flags()
	f.DurationVar(&t.Duration, "for", 0, "how long; 0 is until it is told to end")
	f.DurationVar(&t.Every, "every", 5*time.Millisecond, "from one request to the next")
	f.DurationVar(&t.Patience, "patience", 2*time.Second, "after which a request is lost")
	f.IntVar(&t.Size, "size", 64, "bytes of a request")
	f.BoolVar(&t.Anew, "anew", false, "a connection for each request")
	f.BoolVar(&t.Idle, "idle", false, "after the first request only wait")
	return cmd
}

func newLabFlood() *cobra.Command {
	var f labtraffic.Flood
	var from string
	cmd := &cobra.Command{
		Use:    "flood syn|udp ADDRESS:PORT",
		Short:  "Send first packets of ever other sessions",
		Hidden: true,
		Args:   cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) (err error) {
			if f.Kind, f.To, err = labTarget(args); err != nil {
				return err
			}
			if f.From, err = netip.ParsePrefix(from); err != nil {
				return withStatus(exitUsage, fmt.Errorf("--from: %w", err))
			}
			sent, err := f.Run(cmd.Context())
			return printLabReport(cmd, sent, err)
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&from, "from", "", "network of the sources")
	flags.Uint16Var(&f.SourcePort, "source-port", 0, "of all packets; 0: they differ")
	flags.IntVar(&f.Rate, "rate", 1000, "packets per second")
	flags.DurationVar(&f.Duration, "for", time.Second, "how long")
	return cmd
}

// labTarget reads a word and an address.
func labTarget(args []string) (string, netip.AddrPort, error) {
	to, err := netip.ParseAddrPort(args[1])
	if err != nil {
		return "", to, withStatus(exitUsage, fmt.Errorf("want ADDRESS:PORT: %w", err))
	}
	return args[0], to, nil
}

// printLabReport prints what a program has found out, as one line of JSON.
func printLabReport(cmd *cobra.Command, report any, err error) error {
	if err == nil {
		err = json.NewEncoder(cmd.OutOrStdout()).Encode(report)
	}
	return withStatus(exitFailure, err)
}
