package lab

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"sigs.k8s.io/yaml"

	"github.com/sluice-net/sluice/api"
	"github.com/sluice-net/sluice/control"
)

// Times that the node gets. They are generous: a busy machine is no fault.
const (
	startTimeout  = 30 * time.Second
	stopTimeout   = 20 * time.Second
	reloadTimeout = 15 * time.Second
)

// startNode runs the node and waits until frames pass, and until the devices
// that it makes are set up.
func (l *Lab) startNode(ctx context.Context) error {
	if l.node != nil {
		return errors.New("the node runs already")
	}
	argv := []string{
		"sluice", "run", "--config", filepath.Join(l.dir, "config"),
		"--state", filepath.Join(l.dir, "state"), "--api", l.Address(),
	}
	for _, flag := range l.scenario.Node.Flags {
		argv = append(argv, strings.ReplaceAll(flag, "$SLUICE_LAB", l.dir)) // no shell does it
	}
	p, err := l.start(l.plan.namespaces[0], nodeName, "the node", argv)
	if err != nil {
		return err
	}
	l.node, l.nodeLog = p, p.files+".err"
	l.nodeLogs = append(l.nodeLogs, l.nodeLog)
	ctx, cancel := context.WithTimeoutCause(ctx, startTimeout, errTimeout)
	defer cancel()
	for {
		s, err := l.client.status(ctx)
		if err == nil && s.Ready {
			break
		}
		select {
		case <-p.done:
			return fmt.Errorf("the node ended with status %d", p.status())
		case <-ctx.Done():
			return fmt.Errorf("the node is not ready: %w", errors.Join(context.Cause(ctx), err))
		case <-time.After(20 * time.Millisecond):
		}
	}
	return l.plan.awaitDevices(ctx)
}

// stopNode ends the node in order.
func (l *Lab) stopNode(ctx context.Context) error {
	if l.node == nil {
		return errors.New("the node does not run")
	}
	p := l.node
	l.node = nil
	ctx, cancel := context.WithTimeoutCause(ctx, stopTimeout, errTimeout)
	defer cancel()
	if err := p.stop(ctx); err != nil {
		return err
	}
	if status := p.status(); status != 0 {
		return fmt.Errorf("the node was told to end, and ended with status %d", status)
	}
	return nil
}

// killNode ends the node as kill -9 does.
func (l *Lab) killNode() error {
	if l.node == nil {
		return errors.New("the node does not run")
	}
	l.node.kill()
	l.node = nil
	return nil
}

// crashed says how the node has ended if nobody told it to.
func (l *Lab) crashed() error {
	if l.node == nil || !l.node.ended() || l.node.expected.Load() {
		return nil
	}
	return fmt.Errorf("the node ended by itself, with status %d", l.node.status())
}

// writeConfig writes all objects into the one file of the node's configuration
// folder, at a stroke: what the node reads is never half of it.
func (l *Lab) writeConfig() error {
	var text bytes.Buffer
	for _, o := range l.plan.objects {
		data, err := yaml.Marshal(o.Value)
		if err != nil {
			return fmt.Errorf("%s: %w", o.Key(), err)
		}
		fmt.Fprintf(&text, "---\n%s", data)
	}
	return replaceFile(filepath.Join(l.dir, "config", "lab.yaml"), text.Bytes())
}

// edit changes the configuration and waits until the node has put it in force
// or refused it; refusal is what it says then, and all is as it was before.
func (l *Lab) edit(ctx context.Context, e *Edit) (refusal string, err error) {
	before, err := l.client.status(ctx)
	if err != nil {
		return "", err
	}
	was := l.plan.objects
	if err := l.plan.edit(e); err != nil {
		return "", err
	}
	after, err := l.reconfigure(ctx, func(now *api.Status) bool {
		return now.Revision != before.Revision || now.LastError != ""
	})
	if err != nil || after.LastError == "" {
		return "", errors.Join(err, l.plan.awaitDevices(ctx))
	}
	l.plan.objects = was
	_, err = l.reconfigure(ctx, func(now *api.Status) bool { return now.LastError == "" })
	return after.LastError, err
}

// reconfigure writes the configuration and waits until the node has done what
// is wanted.
func (l *Lab) reconfigure(ctx context.Context, done func(*api.Status) bool) (api.Status, error) {
	if err := l.writeConfig(); err != nil {
		return api.Status{}, err
	}
	ctx, cancel := context.WithTimeoutCause(ctx, reloadTimeout, errTimeout)
	defer cancel()
	for {
		now, err := l.client.status(ctx)
		if err == nil && done(&now) {
			return now, nil
		}
		select {
		case <-ctx.Done():
			return now, fmt.Errorf("the node has not taken the configuration: %w", errors.Join(context.Cause(ctx), err))
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// edit changes the objects.
func (p *plan) edit(e *Edit) error {
	objects := slices.Clone(p.objects)
	if e.Reset {
		objects = slices.Clone(p.initial)
	}
	for _, name := range e.Remove {
		kind, rest, _ := strings.Cut(name, " ")
		i := slices.IndexFunc(objects, func(o *control.Object) bool { return o.Kind == kind && portName(o) == rest })
		if i < 0 {
			return fmt.Errorf("remove %s: there is no such object", name)
		}
		objects = slices.Delete(objects, i, i+1)
	}
	for _, o := range e.objects {
		i := slices.IndexFunc(objects, func(old *control.Object) bool { return old.Key() == o.Key() })
		if i < 0 {
			objects = append(objects, o)
		} else {
			objects[i] = o
		}
	}
	p.objects = objects
	return nil
}

// lastWords are the last lines of the node's log.
func (l *Lab) lastWords(most int) []string {
	if l.nodeLog == "" {
		return nil
	}
	info, err := os.Stat(l.nodeLog)
	if err != nil {
		return nil
	}
	lines := strings.Split(strings.TrimSpace(readSome(l.nodeLog, max(0, info.Size()-16<<10))), "\n")
	return lines[max(0, len(lines)-most):]
}
