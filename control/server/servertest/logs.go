package servertest

import (
	"maps"
	"slices"
	"sync"

	"github.com/sluice-net/sluice/api"
	"github.com/sluice-net/sluice/control/server"
)

// Logs are lines and levels that nobody writes or heeds.
type Logs struct {
	Lines []string

	mu     sync.Mutex
	levels map[string]string
}

var _ server.Logs = (*Logs)(nil)

// LogLevels implements server.Logs.
func (l *Logs) LogLevels() map[string]string {
	l.mu.Lock()
	defer l.mu.Unlock()
	levels := map[string]string{"": "INFO"}
	maps.Copy(levels, l.levels)
	return levels
}

// SetLogLevels implements server.Logs.
func (l *Logs) SetLogLevels(levels map[string]string) error {
	for component, level := range levels {
		if !slices.Contains([]string{"DEBUG", "INFO", "WARN", "ERROR"}, level) {
			return api.Invalid("the level of %q: %q: want DEBUG, INFO, WARN or ERROR", component, level)
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.levels == nil {
		l.levels = map[string]string{}
	}
	maps.Copy(l.levels, levels)
	return nil
}

// LogLines implements server.Logs.
func (l *Logs) LogLines(most int) []string {
	return l.Lines[max(0, len(l.Lines)-most):]
}
