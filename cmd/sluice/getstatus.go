package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/sluice-net/sluice/api"
	"github.com/sluice-net/sluice/control/client"
)

// getStatus prints how the node does.
func getStatus(ctx context.Context, c *client.Client, form string, w io.Writer) error {
	st, err := c.Status(ctx)
	if err != nil {
		return err
	}
	if form == formJSON || form == formYAML {
		return printAs(w, form, st)
	}
	return printStatus(w, &st, form == formWide)
}

// getConfig prints the objects in force; as YAML unless JSON is asked for.
func getConfig(ctx context.Context, c *client.Client, form string, w io.Writer) error {
	if form != formJSON {
		return c.Config(ctx, formYAML, w)
	}
	var raw bytes.Buffer
	if err := c.Config(ctx, formJSON, &raw); err != nil {
		return err
	}
	return printValue(w, form, raw.Bytes())
}

// printStatus is the account for a person.
func printStatus(w io.Writer, st *api.Status, wide bool) error {
	t := tabwriter.NewWriter(w, 0, 0, 3, ' ', 0)
	row := func(name, format string, args ...any) {
		fmt.Fprintf(t, "%s\t"+format+"\n", append([]any{name}, args...)...)
	}
	if st.Version != "" {
		row("Version", "%s", st.Version)
	}
	row("Ready", "%s", yesNo(st.Ready))
	row("Revision", "%d (digest %s, epoch %d)", st.Revision, st.Digest, st.Epoch)
	if !st.Started.IsZero() {
		row("Started", "%s (%s ago)", st.Started.UTC().Format(time.RFC3339), age(st.Uptime))
	}
	if st.LastError != "" {
		row("Refused", "%s: the configuration given since is not in force", st.LastErrorAt.UTC().Format(time.RFC3339))
		for line := range strings.Lines(st.LastError) {
			row("", "%s", strings.TrimRight(line, "\n"))
		}
	}
	for _, t := range st.Takeovers {
		row("Takeover", "%s: %s (%s)", t.Device, t.State, t.Reason)
	}
	p := &st.Ports
	row("Ports", "%d: %d up, %d down, %d absent", p.Total, p.Up, p.Down, p.Absent)
	row("Sessions", "%d of %d, %d ever", st.Sessions.Live, st.Sessions.Capacity, st.Sessions.Created)
	for _, reason := range slices.Sorted(maps.Keys(st.Sessions.Ended)) {
		if wide {
			row("", "%d ended: %s", st.Sessions.Ended[reason], reason)
		}
	}
	m := &st.Memory
	row("Buffers", "%d of %d in use, on pages: %s", m.BuffersInUse, m.Buffers, m.Pages)
	row("Memory", "%d MiB resident, %d MiB mapped for sessions", m.Resident>>20, m.Sessions>>20)
	l := &st.Ledger
	row("Ledger", "%d received + %d generated + %d replicated = %d sent + %d dropped + %d consumed + %d queued; unexplained: %d",
		l.Received, l.Generated, l.Replicated, l.Transmitted, l.Dropped, l.Consumed, l.Queued, l.Unexplained)
	row("Crashes", "%d", st.Crashes)
	for _, crash := range st.First {
		row("", "worker %d, stage %s, a frame of port %s: %s", crash.Worker, crash.Stage, crash.Port, crash.Value)
		if wide {
			for line := range strings.Lines(crash.Stack) {
				row("", "  %s", strings.ReplaceAll(strings.TrimRight(line, "\n"), "\t", "  "))
			}
		}
	}
	return t.Flush()
}
