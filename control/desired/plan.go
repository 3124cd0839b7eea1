package desired

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"time"

	"github.com/sluice-net/sluice/api"
	"github.com/sluice-net/sluice/control"
)

// Plan works out what a request changes in a Set, which is the newest one or what
// Transactions that are not prepared yet make of it. It changes nothing itself. The error says all
// that is wrong with the request: control.Faults where the user's objects are at fault, ones
// that wrap api.ErrConflict where an object belongs to a file or was changed
// meanwhile (as errors.As finds, they are control.Faults too), api.ErrNotFound,
// api.ErrInvalid, api.ErrGone.
func (d *DB) Plan(base *Set, r *Request) (*Transaction, error) {
	at := r.At.UTC().Round(0) // without the monotonic clock's reading, as it is read again
	p := &planner{
		db: d, base: base, r: r, at: at, seen: map[control.Key]bool{},
		t: &Transaction{Request: r, Revision: base.revision + 1, Time: at, secret: d.secret},
	}
	var err error
	switch r.Verb {
	case api.VerbApply:
		err = p.apply()
	case api.VerbDelete:
		p.delete()
	case api.VerbFiles:
		err = p.files()
	case api.VerbRollback:
		err = p.rollback()
	default:
		err = api.Invalid("there is no verb %q; want %s, %s, %s or %s", r.Verb, api.VerbApply, api.VerbDelete, api.VerbRollback, api.VerbFiles)
	}
	p.expect()
	if err := errors.Join(err, p.refusal()); err != nil {
		return nil, err
	}
	if p.t.Empty() {
		p.t.Revision = base.revision
	}
	return p.t, nil
}

// planner makes a Transaction.
type planner struct {
	db   *DB
	base *Set
	r    *Request
	at   time.Time
	t    *Transaction
	seen map[control.Key]bool // what the request is about

	// What is wrong with the request: in what it says, with what there is.
	faults, conflicts control.Faults
	missing           []error
}

// conflict are faults, some of which are that an object is not as the request takes it to be.
type conflict struct{ control.Faults }

func (conflict) Is(target error) bool { return target == api.ErrConflict }
func (c conflict) Unwrap() error      { return c.Faults }

// refusal returns all that is wrong with the request.
func (p *planner) refusal() error {
	all := append(p.faults, p.conflicts...)
	if len(p.conflicts) > 0 {
		return errors.Join(append(p.missing, conflict{all})...)
	}
	return errors.Join(append(p.missing, all.Err())...)
}

// change notes that an object is to become what e says; nothing if it is that already.
// e has Object, text and File; a zero Entry deletes.
func (p *planner) change(k control.Key, e Entry) {
	before, there := p.base.Get(k)
	o := outcome{ref: api.ObjectRef{Kind: k.Kind, Namespace: k.Namespace, Name: k.Name}, change: -1}
	switch {
	case e.Object != nil:
		o.ref = refOf(e.Object)
	case there:
		o.ref = refOf(before.Object)
	}
	if e.Object == nil && there || e.Object != nil && string(before.text) != string(e.text) {
		o.change = len(p.t.Changes)
		if e.Object != nil {
			e.Revision, e.Created = p.t.Revision, p.at
			if there {
				e.Created = before.Created
			}
		}
		p.t.Changes = append(p.t.Changes, Change{k, before, e})
	}
	p.t.outcome = append(p.t.outcome, o)
}

// about notes that the request is about an object, and reports whether it is for the first time.
func (p *planner) about(k control.Key) bool {
	first := !p.seen[k]
	p.seen[k] = true
	return first
}

// fault makes a fault of an object of the request.
func fault(o *control.Object, message, hint string) control.Fault {
	f := control.Fault{Object: o.Key().String(), Message: message, Hint: hint}
	f.File, f.Line, f.Column = o.Position("")
	return f
}

// apply puts the request's objects in the place of those that have their keys.
func (p *planner) apply() error {
	for _, o := range p.r.Objects {
		k := o.Key()
		if !p.about(k) {
			p.twice(o)
			continue
		}
		e, err := newEntry(o)
		if err != nil {
			return err
		}
		before, there := p.base.Get(k)
		if there && before.File != "" {
			if string(before.text) != string(e.text) {
				p.conflicts = append(p.conflicts, fault(o, ownedBy(before.File), ""))
				continue
			}
			e.File = before.File
		}
		p.change(k, e)
	}
	return nil
}

func (p *planner) twice(o *control.Object) {
	p.faults = append(p.faults, fault(o, "the object is there twice", "leave one of them out"))
}

func ownedBy(file string) string {
	if file == "-" {
		file = "the daemon's standard input"
	}
	return "is in " + file + ": change it there"
}

// delete takes the named objects away, and with a Namespace those in it.
func (p *planner) delete() {
	var namespaces []control.Key
	for _, k := range p.r.Delete {
		if !p.about(k) {
			continue
		}
		before, there := p.base.Get(k)
		switch {
		case there && before.File != "":
			p.conflicts = append(p.conflicts, control.Fault{Object: k.String(), Message: ownedBy(before.File)})
			continue
		case !there && !p.r.IgnoreMissing:
			p.missing = append(p.missing, p.base.notFound(k))
			continue
		case there && k.Kind == "Namespace":
			namespaces = append(namespaces, k)
		}
		p.change(k, Entry{})
	}
	for _, ns := range namespaces {
		p.empty(ns)
	}
}

// empty takes away what the API owns in a namespace that goes.
func (p *planner) empty(namespace control.Key) {
	for e := range p.base.All() {
		k := e.Object.Key()
		if k.Namespace != namespace.Name || p.seen[k] {
			continue
		}
		if e.File != "" {
			p.t.Warn(namespace, fmt.Sprintf("%v stays: it is in %s", k, e.File))
			continue
		}
		p.about(k)
		p.change(k, Entry{})
	}
}

// notFound is the error that an object is not there.
func (s *Set) notFound(k control.Key) error {
	name := func(k control.Key) string {
		if k.Namespace != "" {
			return k.Namespace + "/" + k.Name
		}
		return k.Name
	}
	var known []string
	for e := range s.Kind(k.Kind) {
		known = append(known, name(e.Object.Key()))
	}
	return api.NotFound(k.Kind, name(k), known)
}

// expect checks the revisions that the request is made for.
func (p *planner) expect() {
	places := map[control.Key]*control.Object{}
	for _, o := range p.r.Objects {
		places[o.Key()] = o
	}
	var keys []control.Key
	for k := range p.r.Expect {
		keys = append(keys, k)
	}
	slices.SortFunc(keys, control.Key.Compare)
	for _, k := range keys {
		want := p.r.Expect[k]
		is, there := p.base.Get(k)
		if is.Revision == want {
			continue // 0 is that of no object
		}
		f := control.Fault{Object: k.String()}
		if o := places[k]; o != nil {
			f = fault(o, "", "")
		}
		switch {
		case want == 0:
			f.Message = "is there already: " + p.db.by(is.Revision)
			f.Hint = "look at it, and change it instead"
		case there:
			f.Message = "was changed meanwhile: revision " + strconv.FormatUint(want, 10) + " is expected; " + p.db.by(is.Revision)
			f.Hint = "look at it as it is now, and begin from there"
		default:
			f.Message = "was deleted meanwhile" + p.db.deleted(k)
			f.Hint = "apply it without its resourceVersion to make it anew"
		}
		p.conflicts = append(p.conflicts, f)
	}
}

// files makes the objects of files those of the request.
func (p *planner) files() error {
	for _, o := range p.r.Objects {
		k := o.Key()
		file, _, _ := o.Position("")
		if !p.about(k) {
			p.twice(o)
			continue
		}
		before, there := p.base.Get(k)
		switch {
		case file == "":
			p.faults = append(p.faults, fault(o, "comes from no file", "apply it"))
			continue
		case there && before.File == "":
			p.faults = append(p.faults, fault(o, "was applied over the API: "+p.db.by(before.Revision),
				"take it out of the file, or hand it over to the file: "+deleteCommand(k)))
			continue
		}
		e, err := newEntry(o)
		if err != nil {
			return err
		}
		e.File = file
		p.change(k, e)
		// DeepEqual compares positions too: those of what is not changed hold for faults to come.
		if there && string(before.text) == string(e.text) && !(e.File == before.File && reflect.DeepEqual(e.Object, before.Object)) {
			e.Revision, e.Created = before.Revision, before.Created
			p.t.moved = append(p.t.moved, e)
		}
	}
	for e := range p.base.All() {
		if k := e.Object.Key(); e.File != "" && !p.seen[k] {
			p.change(k, Entry{})
		}
	}
	return nil
}

// deleteCommand is what deletes an object.
func deleteCommand(k control.Key) string {
	command := "sluice delete " + k.Kind + " " + k.Name
	if k.Namespace != "" {
		command += " -n " + k.Namespace
	}
	return command
}

// rollback makes the objects of the API what they were at the request's target.
func (p *planner) rollback() error {
	target := p.r.Target
	if target == 0 {
		return api.Invalid("a rollback needs the revision to go back to; history shows them")
	}
	if target > p.base.revision {
		return noRevision(target, p.base.revision)
	}
	was := p.base // also if its last transactions are not in the history yet
	if target < p.base.revision {
		var err error
		if was, err = p.db.At(target); err != nil {
			return err
		}
	}
	for e := range p.base.All() { // what was not there then
		k := e.Object.Key()
		if _, there := was.Get(k); there {
			continue
		}
		if e.File == "" {
			p.change(k, Entry{})
		} else {
			p.stays(k, e, "is in "+e.File+" and was not there in revision "+strconv.FormatUint(target, 10)+": it stays")
		}
	}
	for then := range was.All() {
		k := then.Object.Key()
		now, there := p.base.Get(k)
		switch {
		case there && string(now.text) == string(then.text):
			continue
		case there && now.File != "":
			p.stays(k, now, "is in "+now.File+" and stays as it is there")
		case !there && then.File != "":
			p.stays(k, then, "was in "+then.File+" and is not any more: it does not come back")
		default:
			p.change(k, Entry{Object: then.Object, text: then.text})
		}
	}
	return nil
}

// stays notes an object that a rollback leaves to its file.
func (p *planner) stays(k control.Key, e Entry, why string) {
	p.t.outcome = append(p.t.outcome, outcome{refOf(e.Object), -1})
	p.t.Warn(k, why)
}
