package daemon

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/sluice-net/sluice/api"
	"github.com/sluice-net/sluice/control"
	"github.com/sluice-net/sluice/control/desired"
)

// asked is a request that somebody waits for.
type asked struct {
	request *desired.Request
	answer  chan<- answer // takes one without waiting
}

type answer struct {
	result *api.ChangeResult
	err    error
}

// errEnding is the answer to who asks too late.
var errEnding = errors.New("the daemon is ending: ask again once it has been started anew")

// maxBatch is how many requests are put in force together at most: who asks
// waits for all of them.
const maxBatch = 256

// Change makes a change of the desired state, or says what it would do; any goroutine. When
// it returns without an error, workers treat packets by it and it is on the disk. If ctx
// is done before, the change may be made all the same.
func (d *Daemon) Change(ctx context.Context, r *desired.Request) (*api.ChangeResult, error) {
	if r.At.IsZero() {
		r.At = time.Now()
	}
	answers := make(chan answer, 1)
	select {
	case d.asks <- asked{r, answers}:
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-d.ending:
		return nil, errEnding
	}
	select {
	case a := <-answers:
		return a.result, a.err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// gather adds to a request the others that wait.
func (d *Daemon) gather(first asked) []asked {
	batch := []asked{first}
	for len(batch) < maxBatch {
		select {
		case a := <-d.asks:
			batch = append(batch, a)
		default:
			return batch
		}
	}
	return batch
}

// carryOut makes changes, each all or nothing, in the order in which they were asked
// for. They are put in force together: to save, to compile and to publish costs as much
// for one as for many. If that can't be, halves are tried, so that only who is at
// fault hears of it.
func (d *Daemon) carryOut(batch []asked) {
	answers, err := d.attempt(batch)
	switch {
	case err == nil:
		for i, a := range batch {
			a.answer <- answers[i]
		}
	case len(batch) == 1:
		batch[0].answer <- answer{err: err}
	default:
		d.carryOut(batch[:len(batch)/2])
		d.carryOut(batch[len(batch)/2:])
	}
}

// attempt carries out a batch, or nothing of it if there is an error: one that a part
// of the batch might not have.
func (d *Daemon) attempt(batch []asked) ([]answer, error) {
	answers := make([]answer, len(batch))
	set := d.db.Set()
	var planned []*desired.Transaction
	var changed []int // whose requests change something
	for i, a := range batch {
		t, err := d.db.Plan(set, a.request)
		if err != nil {
			answers[i].err = err
			continue
		}
		warn(t)
		after := set.With(t)
		if a.request.DryRun {
			_, err = d.compile(after)
			answers[i] = answer{t.Result(), err}
			continue
		}
		if after != set {
			set, planned = after, append(planned, t)
		}
		if !t.Empty() {
			changed = append(changed, i)
		}
		answers[i].result = t.Result()
	}
	if err := d.put(set, planned); err != nil {
		return nil, err
	}
	for _, i := range changed {
		answers[i].result.LiveAfter = time.Since(batch[i].request.At).Seconds()
	}
	return answers, nil
}

// compile resolves a set with what was chosen before, and asks the node whether it could
// put that in force.
func (d *Daemon) compile(set *desired.Set) (*control.Model, error) {
	m, faults := d.compiler.Compile(control.Input{
		Objects: set.Objects(), Revision: set.Revision(), Previous: d.db.Allocations(), Now: time.Now().UnixNano(),
		HostName: d.hostName,
	})
	if err := faults.Err(); err != nil {
		return nil, err
	}
	if d.node != nil {
		return m, d.node.Check(m)
	}
	return m, nil
}

// put puts a set in force that transactions made of the one before, all or nothing. The
// order is: compile, save, publish. Without transactions nothing is done.
func (d *Daemon) put(set *desired.Set, planned []*desired.Transaction) error {
	if len(planned) == 0 {
		return nil
	}
	return d.renew(set, planned)
}

// renew is put, but for that it compiles anew also if nobody changed anything.
func (d *Daemon) renew(set *desired.Set, planned []*desired.Transaction) error {
	m, err := d.compile(set)
	if err != nil {
		return err
	}
	pending, err := d.db.Prepare(planned, m.Digest, &m.Allocations)
	if err != nil {
		return fmt.Errorf("save revision %d: %w", m.Revision, err)
	}
	if m.Digest == d.model.Digest {
		d.node.Renumber(m) // packets are treated alike: flows need not be decided again
	} else if err := d.node.Apply(m); err != nil {
		return errors.Join(err, pending.Undo())
	}
	restated := d.show(m, planned) // before those who watch hear of it
	pending.Done()
	d.inForce(m, planned)
	d.db.Restate(restated)
	d.tellDevices(portsOf(planned))
	return nil
}

// warn says what is not quite right about objects, and of each that is accepted and does
// nothing that it does nothing.
func warn(t *desired.Transaction) {
	for i := range t.Changes {
		k, o := t.Changes[i].Key, t.Changes[i].After.Object
		if o == nil {
			continue
		}
		for _, w := range o.Warnings {
			t.Warn(k, w)
		}
		if why := control.NotImplemented(k.Kind); why != "" {
			t.Warn(k, "accepted, and not put into effect: "+why)
		}
	}
}
