package desired

import (
	"encoding/json"
	"fmt"
	"strconv"
	"time"

	"github.com/sluice-net/sluice/api"
	"github.com/sluice-net/sluice/control"
)

// reaches reports whether the history has all revisions after that one.
func (v *view) reaches(revision uint64) bool {
	return revision == v.set.revision || len(v.heads) > 0 && revision+1 >= v.heads[0].View.Revision && revision < v.set.revision
}

// head returns a revision's head, nil if the history does not have it.
func (v *view) head(revision uint64) *head {
	if len(v.heads) == 0 || revision < v.heads[0].View.Revision || revision > v.set.revision {
		return nil
	}
	return &v.heads[revision-v.heads[0].View.Revision]
}

// gone is the error about a revision that the history does not reach.
func (v *view) gone(revision uint64) error {
	reach := "the history is empty"
	if len(v.heads) > 0 {
		reach = "the history begins with revision " + strconv.FormatUint(v.heads[0].View.Revision, 10)
	}
	return fmt.Errorf("revision %d is not known any more: %s (%w)", revision, reach, api.ErrGone)
}

// noRevision is the error about a revision that has not been.
func noRevision(revision, newest uint64) error {
	return api.NotFound("revision", strconv.FormatUint(revision, 10)+" (the newest is "+strconv.FormatUint(newest, 10)+")", []string{strconv.FormatUint(newest, 10)})
}

// changes reads the changes of a revision out of the store. What it was pruned of meanwhile is gone.
func (d *DB) changes(v *view, revision uint64) ([]changeRecord, error) {
	h := v.head(revision)
	if h == nil {
		return nil, v.gone(revision)
	}
	prefix := bodyPrefix + hexadecimal(revision) + "/"
	records, _, err := d.store.Load(prefix)
	if err != nil {
		return nil, err
	}
	if len(records) == 0 {
		return nil, d.now.Load().gone(revision)
	}
	body, err := join(revision, h.Size, records)
	if err != nil {
		return nil, err
	}
	changes, err := decodeBody(body)
	if err != nil {
		return nil, damaged(prefix, err)
	}
	return changes, nil
}

// History returns the revisions that a filter wants, newest first, without their changes. If it
// is an object's, what happened to that is among them.
func (d *DB) History(f *api.HistoryFilter) ([]api.RevisionView, error) {
	v := d.now.Load()
	k := keyOf(f.Object)
	list := []api.RevisionView{}
	for i := len(v.heads) - 1; i >= 0 && (f.Limit <= 0 || len(list) < f.Limit); i-- {
		h := &v.heads[i]
		view := h.View
		if f.Before != 0 && view.Revision >= f.Before {
			continue
		}
		if k.Kind != "" && k.Name != "" {
			if !h.touches(k) {
				continue
			}
			changes, err := d.changes(v, view.Revision)
			if err != nil {
				return nil, err
			}
			for i := range changes {
				if changes[i].key() == k {
					view.Changes = append(view.Changes, changes[i].view())
				}
			}
			if len(view.Changes) == 0 {
				continue // two keys have one hash
			}
		}
		list = append(list, view)
	}
	return list, nil
}

// Revision returns an entry of the history with its changes and their diffs. The error wraps
// api.ErrGone or api.ErrNotFound.
func (d *DB) Revision(n uint64) (*api.RevisionView, error) {
	v := d.now.Load()
	if n > v.set.revision {
		return nil, noRevision(n, v.set.revision)
	}
	changes, err := d.changes(v, n)
	if err != nil {
		return nil, err
	}
	view := v.head(n).View
	for i := range changes {
		c := changes[i].view()
		shown := changes[i].shown()
		c.Diff = shown.diff(d.secret)
		view.Changes = append(view.Changes, c)
	}
	return &view, nil
}

// shown is an entry to be shown only: what an older version has accepted may be looked at.
func (r *entryRecord) shown(k control.Key) Entry {
	if r == nil {
		return Entry{}
	}
	var header api.ObjectRef
	_ = json.Unmarshal(r.Object, &header) // what does not decode has no apiVersion to show
	o := &control.Object{APIVersion: header.APIVersion, Kind: k.Kind, Namespace: k.Namespace, Name: k.Name}
	return Entry{Object: o, File: r.File, Revision: r.Revision, Created: r.Created, text: r.Object}
}

func (r *changeRecord) shown() Change {
	k := r.key()
	return Change{Key: k, Before: r.Before.shown(k), After: r.After.shown(k)}
}

// view is the change without its diff.
func (r *changeRecord) view() api.ObjectChange {
	c := r.shown()
	object := c.After.Object
	if object == nil {
		object = c.Before.Object
	}
	return api.ObjectChange{ObjectRef: refOf(object), Action: c.Action(), Warnings: r.Warnings}
}

// At returns the objects as they were in a revision. The error wraps api.ErrGone or
// api.ErrNotFound, or names an object that this version refuses.
func (d *DB) At(n uint64) (*Set, error) {
	v := d.now.Load()
	switch {
	case n > v.set.revision:
		return nil, noRevision(n, v.set.revision)
	case !v.reaches(n):
		return nil, v.gone(n)
	}
	then := map[control.Key]*entryRecord{}
	for revision := v.set.revision; revision > n; revision-- {
		changes, err := d.changes(v, revision)
		if err != nil {
			return nil, err
		}
		for i := range changes {
			then[changes[i].key()] = changes[i].Before
		}
	}
	set := v.set.clone(n)
	for k, r := range then {
		now, _ := v.set.Get(k)
		e, err := r.like(k, now)
		if err != nil {
			return nil, fmt.Errorf("revision %d: %w", n, err)
		}
		set.put(k, e)
	}
	return set, nil
}

// like is entry, but with the object of another entry if that is equal.
func (r *entryRecord) like(k control.Key, other Entry) (Entry, error) {
	if r == nil || other.Object == nil || string(r.Object) != string(other.text) {
		return r.entry(k)
	}
	return Entry{Object: other.Object, File: r.File, Revision: r.Revision, Created: r.Created.UTC(), text: other.text}, nil
}

// by says who made a revision, and when: "revision 7, which root applied …".
func (d *DB) by(revision uint64) string {
	number := "revision " + strconv.FormatUint(revision, 10)
	h := d.now.Load().head(revision)
	if h == nil {
		return number
	}
	return fmt.Sprintf("%s (%s), by %s at %s", number, h.View.Verb, author(h.View.Author), h.View.Time.Format(time.RFC3339))
}

// deleted says who deleted an object, as far as it is known.
func (d *DB) deleted(k control.Key) string {
	v := d.now.Load()
	for i := len(v.heads) - 1; i >= 0; i-- {
		if v.heads[i].touches(k) {
			return ": " + d.by(v.heads[i].View.Revision)
		}
	}
	return ""
}

func author(a api.Author) string {
	switch {
	case a.Name != "":
		return a.Name
	case a.UID != nil:
		return "user " + strconv.Itoa(*a.UID)
	case a.Via != "":
		return a.Via
	}
	return "somebody"
}
