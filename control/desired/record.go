package desired

import (
	"bytes"
	"compress/flate"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/cespare/xxhash/v2"

	"github.com/sluice-net/sluice/api"
	"github.com/sluice-net/sluice/control"
	"github.com/sluice-net/sluice/control/store"
)

// What a DB keeps, as records of its store:
//
//	state/configuration          revision and digest
//	object/KIND/NAMESPACE/NAME   an object with its entry
//	allocation/…                 what was allocated: see allocations.go
//	history/head/REVISION        who, when, why, how many; which objects, as hashes
//	history/body/REVISION/PART   its changes, with the objects before and after, compressed and
//	                             cut into parts: a page of the file that is written again for a
//	                             neighbour's sake stays small
//
// REVISION has 16 hexadecimal digits and PART 6, so that keys are in order.
const (
	configurationKey = "state/configuration"
	objectPrefix     = "object/"
	headPrefix       = "history/head/"
	bodyPrefix       = "history/body/"

	partSize = 8 << 10

	// largestBody bounds what a body may claim to be when it is unpacked, bytes.
	largestBody = 256 << 20
)

func objectKey(k control.Key) string {
	return objectPrefix + k.Kind + "/" + k.Namespace + "/" + k.Name
}

func hexadecimal(revision uint64) string { return fmt.Sprintf("%016x", revision) }

// configurationRecord is the record under configurationKey.
type configurationRecord struct {
	Revision uint64 `json:"revision"`
	Digest   string `json:"digest"`
}

// entryRecord is an Entry in the store.
type entryRecord struct {
	File     string          `json:"file,omitempty"`
	Revision uint64          `json:"revision"`
	Created  time.Time       `json:"created"`
	Object   json.RawMessage `json:"object"`
}

func recordOf(e Entry) *entryRecord {
	if e.Object == nil {
		return nil
	}
	return &entryRecord{e.File, e.Revision, e.Created, e.text}
}

// entry decodes and checks the object, as control.Decode would. A nil record is no object.
func (r *entryRecord) entry(k control.Key) (Entry, error) {
	if r == nil {
		return Entry{}, nil
	}
	o, faults := control.NewObject(r.Object)
	if len(faults) > 0 {
		return Entry{}, fmt.Errorf("%v of revision %d: %w by this version (%w); use the version that wrote it", k, r.Revision, errRefused, faults)
	}
	return r.with(k, o)
}

// with makes the entry of the object that the record holds.
func (r *entryRecord) with(k control.Key, o *control.Object) (Entry, error) {
	if o.Key() != k {
		return Entry{}, fmt.Errorf("%w: %v is kept as %v", store.ErrDamaged, o.Key(), k)
	}
	e, err := newEntry(o)
	e.File, e.Revision, e.Created = r.File, r.Revision, r.Created.UTC()
	return e, err
}

// errRefused is that a stored object does not pass this version's checks.
var errRefused = errors.New("the stored object is refused")

// keptObject is an object's record before the object is decoded.
type keptObject struct {
	key    control.Key
	record entryRecord
}

func decodeKept(r store.Record) (kept keptObject, err error) {
	parts := strings.Split(strings.TrimPrefix(r.Key, objectPrefix), "/")
	err = json.Unmarshal(r.Value, &kept.record)
	if err == nil && (len(parts) != 3 || len(kept.record.Object) == 0) {
		err = errors.New("it is none of an object")
	}
	if err != nil {
		return kept, damaged(r.Key, err)
	}
	kept.key = control.Key{Kind: parts[0], Namespace: parts[1], Name: parts[2]}
	return kept, nil
}

// entries decodes objects: all at once, which takes half the time, and one by one if any is refused,
// to say which.
func entries(kept []keptObject) ([]Entry, error) {
	if list, ok := together(kept); ok {
		return list, nil
	}
	var wrong []error
	list := make([]Entry, len(kept))
	for i := range kept {
		var err error
		if list[i], err = kept[i].record.entry(kept[i].key); err != nil {
			wrong = append(wrong, err)
		}
	}
	return list, errors.Join(wrong...)
}

func together(kept []keptObject) ([]Entry, bool) {
	items := make([]json.RawMessage, len(kept))
	for i := range kept {
		items[i] = kept[i].record.Object
	}
	data, err := json.Marshal(map[string]any{"apiVersion": "v1", "kind": "List", "items": items})
	if err != nil {
		return nil, false
	}
	objects, faults := control.Decode(".json", data, control.Options{})
	if len(faults) > 0 || len(objects) != len(kept) {
		return nil, false
	}
	list := make([]Entry, len(kept))
	for i, o := range objects {
		// Without its position in data, which nobody can look at.
		bare := &control.Object{APIVersion: o.APIVersion, Kind: o.Kind, Namespace: o.Namespace, Name: o.Name, Value: o.Value}
		if list[i], err = kept[i].record.with(kept[i].key, bare); err != nil {
			return nil, false
		}
	}
	return list, true
}

func damaged(key string, err error) error {
	return fmt.Errorf("record %s: %w: %w", key, store.ErrDamaged, err)
}

// head is an entry of the history without its changes.
type head struct {
	View api.RevisionView `json:"view"` // without Changes
	Size int              `json:"size"` // of the body, bytes, as it is stored
	// Keys are hashes of the keys of the objects that it changes, sorted. A collision
	// costs a look into the body.
	Keys []uint64 `json:"keys"`
}

func hashKey(k control.Key) uint64 { return xxhash.Sum64String(index(k)) }

func (h *head) touches(k control.Key) bool {
	_, found := slices.BinarySearch(h.Keys, hashKey(k))
	return found
}

func headOf(t *Transaction, bodySize int) head {
	r := t.Request
	h := head{Size: bodySize, View: api.RevisionView{
		Revision: t.Revision, Time: t.Time, Author: r.Author, Verb: r.Verb, Target: r.Target, Message: r.Message,
	}}
	for i := range t.Changes {
		h.Keys = append(h.Keys, hashKey(t.Changes[i].Key))
		switch t.Changes[i].Action() {
		case api.ActionCreated:
			h.View.Created++
		case api.ActionDeleted:
			h.View.Deleted++
		default:
			h.View.Configured++
		}
	}
	slices.Sort(h.Keys)
	return h
}

func decodeHead(r store.Record) (h head, err error) {
	if err = json.Unmarshal(r.Value, &h); err == nil && (h.Size < 0 || headPrefix+hexadecimal(h.View.Revision) != r.Key) {
		err = errors.New("it is not what its key says")
	}
	if err != nil {
		return head{}, damaged(r.Key, err)
	}
	return h, nil
}

// changeRecord is a Change in a body.
type changeRecord struct {
	Kind      string       `json:"kind"`
	Namespace string       `json:"namespace,omitempty"`
	Name      string       `json:"name"`
	Before    *entryRecord `json:"before,omitempty"`
	After     *entryRecord `json:"after,omitempty"`
	Warnings  []string     `json:"warnings,omitempty"`
}

func (r *changeRecord) key() control.Key {
	return control.Key{Kind: r.Kind, Namespace: r.Namespace, Name: r.Name}
}

// packer compresses bodies. One is used again and again: a flate.Writer is larger than most of what it
// writes.
type packer struct{ w *flate.Writer }

// encode writes a transaction's changes, compressed if that saves something worth it.
func (p *packer) encode(t *Transaction) ([]byte, error) {
	records := make([]changeRecord, len(t.Changes))
	for i, c := range t.Changes {
		records[i] = changeRecord{
			c.Key.Kind, c.Key.Namespace, c.Key.Name, recordOf(c.Before), recordOf(c.After), t.Warnings[c.Key],
		}
	}
	text, err := json.Marshal(records)
	if err != nil {
		return nil, err
	}
	if len(text) < 512 {
		return append([]byte{bodyPlain}, text...), nil
	}
	packed := bytes.NewBuffer([]byte{bodyDeflate})
	if p.w == nil {
		if p.w, err = flate.NewWriter(packed, flate.BestSpeed); err != nil {
			return nil, err
		}
	}
	p.w.Reset(packed)
	if _, err := p.w.Write(text); err != nil {
		return nil, err
	}
	if err := p.w.Close(); err != nil { // which writes what is left
		return nil, err
	}
	return packed.Bytes(), nil
}

// The first byte of a body.
const (
	bodyPlain   = 0 // JSON follows
	bodyDeflate = 1 // JSON by RFC 1951
)

func decodeBody(body []byte) (records []changeRecord, err error) {
	if len(body) == 0 {
		return nil, errors.New("it is empty")
	}
	text := body[1:]
	switch body[0] {
	case bodyPlain:
	case bodyDeflate:
		text, err = io.ReadAll(io.LimitReader(flate.NewReader(bytes.NewReader(text)), largestBody))
	default:
		err = fmt.Errorf("it is of form %d, which this version does not know", body[0])
	}
	if err == nil {
		err = json.Unmarshal(text, &records)
	}
	for i := range records {
		if err == nil && records[i].Before == nil && records[i].After == nil {
			err = fmt.Errorf("change %d is none", i)
		}
	}
	return records, err
}

// parts cuts a body into records.
func parts(revision uint64, body []byte) map[string][]byte {
	list := map[string][]byte{}
	for part := range slices.Chunk(body, partSize) {
		list[bodyKey(revision, len(list))] = part
	}
	return list
}

func bodyKey(revision uint64, part int) string {
	return bodyPrefix + hexadecimal(revision) + "/" + fmt.Sprintf("%06x", part)
}

// partsOf is how many parts a body of that size has.
func partsOf(size int) int { return (size + partSize - 1) / partSize }

// join is the reverse of parts.
func join(revision uint64, size int, records []store.Record) ([]byte, error) {
	body := make([]byte, 0, size)
	for i, r := range records {
		if r.Key != bodyKey(revision, i) {
			return nil, damaged(r.Key, errors.New("a part before it is missing"))
		}
		body = append(body, r.Value...)
	}
	if len(body) != size {
		return nil, damaged(bodyPrefix+hexadecimal(revision), errors.New("it has "+strconv.Itoa(len(body))+" bytes of "+strconv.Itoa(size)))
	}
	return body, nil
}
