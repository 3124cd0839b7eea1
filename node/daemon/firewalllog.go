package daemon

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/sluice-net/sluice/api"
	"github.com/sluice-net/sluice/dataplane"
	"github.com/sluice-net/sluice/export"
	"github.com/sluice-net/sluice/node/dfwlog"
)

// keptLines is how many lines of the firewall's log can be asked for.
const keptLines = 4096

// firewallLog writes down what logged rules have done, and keeps the newest lines.
type firewallLog struct {
	writer *dfwlog.Writer
	file   *export.RotatedFile // nil: lines are only kept
}

// openFirewallLog opens the file, if there is to be one, for the daemon's node.
func (d *Daemon) openFirewallLog() error {
	c := dfwlog.Config{
		Log: d.node.FirewallLog(), Port: d.node.PortName, WallClock: dataplane.WallClock, Keep: keptLines,
		Tell: func(err error) {
			if err != nil {
				d.log.Warn("lines of the firewall's log are lost until its file takes some again: make room, or let the daemon write there", "file", d.config.FirewallLog, "error", err)
				return
			}
			d.log.Info("the firewall's log is written again", "file", d.config.FirewallLog)
		},
	}
	l := &firewallLog{}
	if d.config.FirewallLog != "" {
		var err error
		if l.file, err = export.OpenRotated(d.config.FirewallLog, export.RotateConfig{}); err != nil {
			return fmt.Errorf("--firewall-log: %w: name a file in a folder that is there, and that the daemon may write to", err)
		}
		c.Out = l.file
	}
	l.writer = dfwlog.New(c)
	d.firewall = l
	return nil
}

// run writes until done is closed.
func (l *firewallLog) run(done <-chan struct{}) {
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	go func() {
		select {
		case <-done:
			stop()
		case <-ctx.Done():
		}
	}()
	l.writer.Run(ctx)
}

// close writes what the node's end has left.
func (l *firewallLog) close() error {
	if l == nil {
		return nil
	}
	l.writer.Drain()
	if l.file == nil {
		return nil
	}
	return l.file.Close()
}

// FirewallLines implements server.FirewallLog.
func (l *firewallLog) FirewallLines(f *api.FirewallLogFilter) []api.FirewallLogLine {
	all := l.writer.Since(f.After, keptLines)
	list := make([]api.FirewallLogLine, 0, min(len(all), max(f.Lines, 0)))
	for i := len(all) - 1; i >= 0 && len(list) < f.Lines; i-- {
		x := &all[i]
		if f.Port != "" && x.Port != f.Port || f.Rule != 0 && x.Rule != f.Rule {
			continue
		}
		list = append(list, api.FirewallLogLine{
			Number: x.Number, Time: time.Unix(0, x.Time).UTC(), Port: x.Port, Rule: x.Rule, Line: strings.TrimSuffix(string(x.Append(nil)), "\n"),
		})
	}
	slices.Reverse(list)
	return list
}
