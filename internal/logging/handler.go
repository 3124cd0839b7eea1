package logging

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"time"
)

// Object is the attribute that says what a line is about; the name is asked for
// only if the line is written.
func Object(key fmt.Stringer) slog.Attr { return slog.Any(KeyObject, lazy{key}) }

// lazy is a name that is not made before it is needed.
type lazy struct{ fmt.Stringer }

// LogValue implements slog.LogValuer.
func (l lazy) LogValue() slog.Value {
	if l.Stringer == nil {
		return slog.StringValue("")
	}
	return slog.StringValue(l.String())
}

// step is one With or WithGroup.
type step struct {
	group string // or, if empty, attrs
	attrs []slog.Attr
}

// handler is the slog.Handler of a component.
//
// The component is the first attribute of each line, and there is one: a later
// With takes the place of an earlier. So the steps are kept, and done over when
// it changes, or when a count of suppressed lines goes beside it.
type handler struct {
	l         *Logging
	component *component
	steps     []step
	inner     slog.Handler // base, the component, steps
}

func newHandler(l *Logging, name string, steps []step) *handler {
	h := &handler{l: l, component: l.levels.component(name), steps: steps}
	h.inner = h.build(0)
	return h
}

// build makes the handler that formats.
func (h *handler) build(suppressed uint64) slog.Handler {
	inner := h.l.base
	var first []slog.Attr
	if h.component.name != "" {
		first = append(first, slog.String(KeyComponent, h.component.name))
	}
	if suppressed != 0 {
		first = append(first, slog.Uint64(KeySuppressed, suppressed))
	}
	if len(first) > 0 {
		inner = inner.WithAttrs(first)
	}
	for _, s := range h.steps {
		if s.group != "" {
			inner = inner.WithGroup(s.group)
		} else {
			inner = inner.WithAttrs(s.attrs)
		}
	}
	return inner
}

// Enabled implements slog.Handler. It is one atomic load.
func (h *handler) Enabled(_ context.Context, level slog.Level) bool {
	return int64(level) >= h.component.level.Load()
}

// Handle implements slog.Handler.
func (h *handler) Handle(ctx context.Context, r slog.Record) error {
	n, written := h.l.limits.allow(time.Now(), kind{h.component.name, r.Level, r.Message}, h.l.reportOne)
	if !written {
		return nil
	}
	return h.write(ctx, r, n)
}

// write writes a record, and how many like it were suppressed before.
func (h *handler) write(ctx context.Context, r slog.Record, suppressed uint64) error {
	if suppressed == 0 {
		return h.inner.Handle(ctx, r)
	}
	return h.build(suppressed).Handle(ctx, r)
}

// WithAttrs implements slog.Handler.
func (h *handler) WithAttrs(attrs []slog.Attr) slog.Handler {
	if len(attrs) == 0 {
		return h
	}
	name := h.component.name
	if !slices.ContainsFunc(h.steps, func(s step) bool { return s.group != "" }) { // in a group it is another key
		rest := make([]slog.Attr, 0, len(attrs))
		for _, a := range attrs {
			if a.Key == KeyComponent {
				name = a.Value.Resolve().String()
			} else {
				rest = append(rest, a)
			}
		}
		attrs = rest
	}
	if name != h.component.name {
		return newHandler(h.l, name, h.with(attrs))
	}
	if len(attrs) == 0 {
		return h
	}
	return &handler{h.l, h.component, h.with(attrs), h.inner.WithAttrs(attrs)}
}

// with returns the steps and one more; none if it has no attributes.
func (h *handler) with(attrs []slog.Attr) []step {
	if len(attrs) == 0 {
		return h.steps
	}
	return append(slices.Clip(h.steps), step{attrs: attrs})
}

// WithGroup implements slog.Handler.
func (h *handler) WithGroup(name string) slog.Handler {
	if name == "" {
		return h
	}
	return &handler{h.l, h.component, append(slices.Clip(h.steps), step{group: name}), h.inner.WithGroup(name)}
}
