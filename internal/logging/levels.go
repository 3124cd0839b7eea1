package logging

import (
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
)

// ErrLevel is wrapped by errors about levels and names of components that make no sense.
var ErrLevel = errors.New("no such level")

// levelError is ErrLevel in a sentence of its own.
type levelError struct{ text string }

func (e levelError) Error() string      { return e.text }
func (levelError) Is(target error) bool { return target == ErrLevel }

// maxComponents bounds how many components have a level of their own: names are
// constants of the program, and of what users set.
const maxComponents = 256

// Default is the name of no level: a component that is set to it has that of "".
const Default = "default"

// Levels say from which level on a component's lines are written. It is safe for
// use by several goroutines.
type Levels struct {
	mu         sync.Mutex
	all        *component            // ""
	components map[string]*component // without ""
}

// component is a part of the daemon that logs.
type component struct {
	name  string
	level atomic.Int64 // in force; a slog.Level
	own   bool         // it is the component's own, not that of ""; under Levels.mu
}

func newLevels() *Levels {
	return &Levels{all: &component{own: true}, components: map[string]*component{}}
}

// component returns the one of a name, which is known from then on. Of more than
// maxComponents the others have the level of "".
func (l *Levels) component(name string) *component {
	if name == "" {
		return l.all
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.componentLocked(name)
}

func (l *Levels) componentLocked(name string) *component {
	c := l.components[name]
	if c == nil {
		c = &component{name: name}
		c.level.Store(l.all.level.Load())
		if len(l.components) < maxComponents {
			l.components[name] = c
		}
	}
	return c
}

// Get returns the level in force of each component that has a logger or was set, and
// of "".
func (l *Levels) Get() map[string]slog.Level {
	l.mu.Lock()
	defer l.mu.Unlock()
	levels := map[string]slog.Level{"": slog.Level(l.all.level.Load())}
	for name, c := range l.components {
		levels[name] = slog.Level(c.level.Load())
	}
	return levels
}

// Set changes the levels that are given, or none if a name is faulty; "" is that of
// all components without one of their own. The error wraps ErrLevel.
func (l *Levels) Set(levels map[string]slog.Level) error {
	set := make(map[string]*slog.Level, len(levels))
	for name, level := range levels {
		set[name] = &level
	}
	return l.set(set)
}

// set is Set; nil gives a component the level of "".
func (l *Levels) set(levels map[string]*slog.Level) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	more := 0
	for name := range levels {
		if err := checkComponent(name); err != nil {
			return err
		}
		if name != "" && l.components[name] == nil {
			more++
		}
	}
	if len(l.components)+more > maxComponents {
		return levelError{fmt.Sprintf("there are %d components already, and no more than %d can have a level", len(l.components), maxComponents)}
	}
	if level := levels[""]; level != nil {
		l.all.level.Store(int64(*level))
	}
	for name, level := range levels {
		if name == "" {
			continue
		}
		c := l.componentLocked(name)
		if c.own = level != nil; c.own {
			c.level.Store(int64(*level))
		}
	}
	for _, c := range l.components {
		if !c.own {
			c.level.Store(l.all.level.Load())
		}
	}
	return nil
}

// setNames is SetLevels.
func (l *Levels) setNames(names map[string]string) error {
	levels := make(map[string]*slog.Level, len(names))
	for _, component := range slices.Sorted(maps.Keys(names)) { // the same fault first each time
		name := names[component]
		if component != "" && strings.EqualFold(name, Default) {
			levels[component] = nil
			continue
		}
		level, err := parseLevel(component, name)
		if err != nil {
			return err
		}
		levels[component] = &level
	}
	return l.set(levels)
}

// checkComponent says whether a name can be a component's: what can be written in
// a flag, and found in a line.
func checkComponent(name string) error {
	const longest = 63
	if len(name) > longest || strings.ContainsFunc(name, func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && !strings.ContainsRune("-_./", r)
	}) {
		return levelError{fmt.Sprintf("%.64q can't be a component of the log: want letters, digits and -_./, %d at most", name, longest)}
	}
	return nil
}

// parseLevel reads the name of a level.
func parseLevel(component, name string) (slog.Level, error) {
	for _, level := range []slog.Level{slog.LevelDebug, slog.LevelInfo, slog.LevelWarn, slog.LevelError} {
		if strings.EqualFold(name, level.String()) {
			return level, nil
		}
	}
	of, or := "the log's level", "warn or error"
	if component != "" {
		of, or = "the level of "+component, "warn, error or "+Default
	}
	return 0, levelError{fmt.Sprintf("%s %.64q: want debug, info, %s", of, name, or)}
}

// ParseLevels reads levels as a flag has them: "info", "info,store=debug",
// "store=debug". The level without a component is that of "". The error wraps
// ErrLevel.
func ParseLevels(text string) (map[string]slog.Level, error) {
	levels := map[string]slog.Level{}
	for part := range strings.SplitSeq(text, ",") {
		component, name, found := strings.Cut(strings.TrimSpace(part), "=")
		if !found {
			component, name = "", component
		} else if component == "" {
			return nil, levelError{fmt.Sprintf("%.64q has no component before the =: want COMPONENT=LEVEL, or LEVEL for all others", part)}
		}
		if _, twice := levels[component]; twice {
			if component == "" {
				return nil, levelError{fmt.Sprintf("%.64q has two levels for all components: want LEVEL once, others as COMPONENT=LEVEL", text)}
			}
			return nil, levelError{fmt.Sprintf("%.64q has two levels for %s", text, component)}
		}
		if err := checkComponent(component); err != nil {
			return nil, err
		}
		level, err := parseLevel(component, name)
		if err != nil {
			return nil, err
		}
		levels[component] = level
	}
	return levels, nil
}
