package server

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/sluice-net/sluice/api"
	"github.com/sluice-net/sluice/control"
	"github.com/sluice-net/sluice/control/desired"
)

// wanted returns the desired state, if this daemon has one.
func (s *Server) wanted() (Objects, error) {
	if s.options.Objects == nil {
		return nil, notServed("objects")
	}
	return s.options.Objects, nil
}

func (s *Server) objects(w *response, r *request) error {
	state, err := s.wanted()
	if err != nil {
		return err
	}
	filter, err := objectFilter(r.Values)
	if err != nil {
		return err
	}
	limit := filter.Limit
	filter.Limit = 0 // list cuts off, and says so
	revision, items, err := state.Objects(&filter, r.who.secrets())
	if err != nil {
		return err
	}
	list(w, listHead(revision), items, limit)
	return nil
}

func (s *Server) history(w *response, r *request) error {
	state, err := s.wanted()
	if err != nil {
		return err
	}
	filter, err := api.ParseHistoryFilter(r.Values)
	if err != nil {
		return err
	}
	limit := filter.Limit
	if limit > 0 && limit+1 > 0 {
		filter.Limit = limit + 1 // to know whether there is more
	}
	revisions, err := state.History(&filter)
	if err != nil {
		return err
	}
	list(w, "{", slices.Values(revisions), limit)
	return nil
}

func (s *Server) revision(w *response, r *request) error {
	state, err := s.wanted()
	if err != nil {
		return err
	}
	n, err := strconv.ParseUint(r.param, 10, 64)
	if err != nil {
		return api.Invalid("revision %q: want a number", clip(r.param))
	}
	v, err := state.Revision(n)
	if err != nil {
		return err
	}
	w.json(http.StatusOK, v)
	return nil
}

func (s *Server) apply(w *response, r *request) error {
	state, err := s.wanted()
	if err != nil {
		return err
	}
	docs, err := s.documents(w, r)
	defer docs.free()
	if err != nil {
		return err
	}
	change := r.change(api.VerbApply)
	change.Objects, err = docs.decode(r.flag("skipUnknown"), change)
	if err != nil {
		return err
	}
	if r.flag("ifUnchanged") {
		if change.Expect, err = expectations(change.Objects); err != nil {
			return err
		}
	}
	return s.change(w, r, state, change)
}

func (s *Server) delete(w *response, r *request) error {
	state, err := s.wanted()
	if err != nil {
		return err
	}
	docs, err := s.documents(w, r)
	defer docs.free()
	if err != nil {
		return err
	}
	change := r.change(api.VerbDelete)
	change.IgnoreMissing = r.flag("ignoreMissing")
	refs, named, err := docs.references()
	switch {
	case err != nil:
		return err
	case named:
		change.Delete = refs
	default:
		objects, err := docs.decode(false, change)
		if err != nil {
			return err
		}
		for _, o := range objects {
			change.Delete = append(change.Delete, o.Key())
		}
	}
	return s.change(w, r, state, change)
}

func (s *Server) rollback(w *response, r *request) error {
	state, err := s.wanted()
	if err != nil {
		return err
	}
	change := r.change(api.VerbRollback)
	change.Target = r.number("to")
	return s.change(w, r, state, change)
}

// change begins a request for a change, of which all has arrived.
func (r *request) change(verb api.Verb) *desired.Request {
	return &desired.Request{
		Verb: verb, Author: r.who.Author, Message: r.Get("message"), DryRun: r.flag("dryRun"), Diff: r.flag("diff"), At: time.Now(),
	}
}

func (s *Server) change(w *response, r *request, state Objects, c *desired.Request) error {
	result, err := state.Change(r.Context(), c)
	if err != nil {
		return err
	}
	if result.Changes == nil {
		result.Changes = []api.ObjectChange{}
	}
	w.json(http.StatusOK, result)
	return nil
}

// decode reads the objects, and notes in a change which were left out.
func (d *docs) decode(skipUnknown bool, change *desired.Request) ([]*control.Object, error) {
	objects, faults := control.DecodeFiles(d.files, control.Options{SkipUnknown: skipUnknown, Skipped: func(o control.Skipped) {
		change.Skipped = append(change.Skipped, api.SkippedObject{
			ObjectRef: api.ObjectRef{APIVersion: o.APIVersion, Kind: o.Kind, Namespace: o.Namespace, Name: o.Name},
			File:      o.File, Line: o.Line, Column: o.Column, Reason: o.Reason,
		})
	}})
	switch {
	case len(faults) > 0:
		return nil, faults
	case len(objects)+len(change.Skipped) == 0:
		return nil, api.Invalid("what was sent has no object: send documents with apiVersion, kind and metadata")
	}
	return objects, nil
}

// expectations are the revisions that documents say objects are of.
func expectations(objects []*control.Object) (map[control.Key]uint64, error) {
	expect := make(map[control.Key]uint64, len(objects))
	var faults control.Faults
	for _, o := range objects {
		text := o.Meta().ResourceVersion
		if text == "" {
			expect[o.Key()] = 0
			continue
		}
		n, err := strconv.ParseUint(text, 10, 64)
		if err != nil || n == 0 {
			f := control.Fault{
				Object: o.Key().String(), Message: fmt.Sprintf("metadata.resourceVersion: %q is no revision", clip(text)),
				Hint: "take the object anew from sluice get -o yaml",
			}
			f.File, f.Line, f.Column = o.Position("metadata.resourceVersion")
			faults = append(faults, f)
		}
		expect[o.Key()] = n
	}
	return expect, faults.Err()
}

// references reads an api.DeleteRequest; named says that the body is one. An object
// that is a document has a kind, which it has not.
func (d *docs) references() (keys []control.Key, named bool, err error) {
	if len(d.files) != 1 || !d.raw || !bytes.HasPrefix(bytes.TrimSpace(d.files[0].Data), []byte("{")) {
		return nil, false, nil
	}
	var head struct {
		Kind    json.RawMessage `json:"kind"`
		Objects json.RawMessage `json:"objects"`
	}
	if json.Unmarshal(d.files[0].Data, &head) != nil || head.Objects == nil || head.Kind != nil {
		return nil, false, nil
	}
	var body api.DeleteRequest
	decoder := json.NewDecoder(bytes.NewReader(d.files[0].Data))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&body); err != nil {
		return nil, true, api.Invalid(`the body: %v: want {"objects": [{"kind": "Port", "namespace": "web", "name": "a"}]}`, err)
	}
	if len(body.Objects) == 0 {
		return nil, true, api.Invalid("objects is empty: name what is to be deleted")
	}
	for i, ref := range body.Objects {
		key, err := keyOf(ref)
		if err != nil {
			return nil, true, api.Invalid("objects[%d]: %v", i, err)
		}
		keys = append(keys, key)
	}
	return keys, true, nil
}
