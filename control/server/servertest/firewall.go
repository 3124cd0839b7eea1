package servertest

import (
	"slices"
	"sync"

	"github.com/sluice-net/sluice/api"
)

// FirewallLog is a server.FirewallLog of lines that a test adds.
type FirewallLog struct {
	mu    sync.Mutex
	lines []api.FirewallLogLine
}

// Add adds lines, and numbers them.
func (l *FirewallLog) Add(lines ...api.FirewallLogLine) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, x := range lines {
		x.Number = uint64(len(l.lines)) + 1
		l.lines = append(l.lines, x)
	}
}

// FirewallLines implements server.FirewallLog.
func (l *FirewallLog) FirewallLines(f *api.FirewallLogFilter) []api.FirewallLogLine {
	l.mu.Lock()
	defer l.mu.Unlock()
	list := slices.DeleteFunc(slices.Clone(l.lines), func(x api.FirewallLogLine) bool {
		return x.Number <= f.After || f.Port != "" && x.Port != f.Port || f.Rule != 0 && x.Rule != f.Rule
	})
	return list[max(0, len(list)-f.Lines):]
}
