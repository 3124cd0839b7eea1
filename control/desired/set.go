package desired

import (
	"iter"
	"strings"
	"sync"
	"time"

	"github.com/tidwall/btree"

	"github.com/sluice-net/sluice/control"
)

// Entry is an object that is to be there, and how it came to be.
type Entry struct {
	Object   *control.Object // without what Kubernetes adds; nil: there is none
	File     string          // of --config that it is in; empty: applied over the API
	Revision uint64          // that changed it last
	Created  time.Time       // when it came to be there; UTC

	text []byte // the object's JSON: fields in the order of its type, so that equal objects have equal ones
}

// JSON returns the object's JSON: apiVersion, kind, metadata and spec, of Pods the status too. It
// is read only; nil of an Entry without an object.
func (e Entry) JSON() []byte { return e.text }

// Set is the objects of one revision. It never changes; a changed copy shares with it what
// is the same.
type Set struct {
	revision uint64
	tree     *btree.Map[string, Entry] // by index
	copying  sync.Mutex                // Copy writes to the tree that it copies; readers do not look there

	once    sync.Once
	objects []*control.Object
}

// index is a key as the tree sorts it. Names have no NUL, so that the order is that of
// control.Key.Compare.
func index(k control.Key) string { return k.Kind + "\x00" + k.Namespace + "\x00" + k.Name }

func newSet(revision uint64) *Set {
	return &Set{revision: revision, tree: btree.NewMap[string, Entry](0)}
}

// clone returns a Set that may be changed until somebody else sees it.
func (s *Set) clone(revision uint64) *Set {
	s.copying.Lock()
	defer s.copying.Unlock()
	return &Set{revision: revision, tree: s.tree.Copy()}
}

func (s *Set) put(k control.Key, e Entry) {
	if e.Object == nil {
		s.tree.Delete(index(k))
		return
	}
	s.tree.Set(index(k), e)
}

// Revision returns the number of the last change of the Set; 0 if there was none.
func (s *Set) Revision() uint64 { return s.revision }

// Len returns how many objects there are.
func (s *Set) Len() int { return s.tree.Len() }

// Get returns the object with that key.
func (s *Set) Get(k control.Key) (Entry, bool) { return s.tree.Get(index(k)) }

// All yields the objects in order of their keys.
func (s *Set) All() iter.Seq[Entry] { return s.from("") }

// Kind yields the objects of a kind in order of their keys.
func (s *Set) Kind(kind string) iter.Seq[Entry] { return s.from(kind + "\x00") }

// KindIn yields the objects of a kind in a namespace, "" for those that are in none, in
// order of their names.
func (s *Set) KindIn(kind, namespace string) iter.Seq[Entry] {
	return s.from(kind + "\x00" + namespace + "\x00")
}

func (s *Set) from(prefix string) iter.Seq[Entry] {
	return func(yield func(Entry) bool) {
		s.tree.Ascend(prefix, func(k string, e Entry) bool { return strings.HasPrefix(k, prefix) && yield(e) })
	}
}

// Objects returns the objects in order of their keys, for control.Compile. An object that two
// Sets have alike is the same pointer in both. The slice is read only.
func (s *Set) Objects() []*control.Object {
	s.once.Do(func() {
		s.objects = make([]*control.Object, 0, s.Len())
		for e := range s.All() {
			s.objects = append(s.objects, e.Object)
		}
	})
	return s.objects
}

// With returns the Set that a transaction makes of s, which it was planned on.
func (s *Set) With(t *Transaction) *Set {
	if t.Empty() && len(t.moved) == 0 {
		return s
	}
	after := s.clone(t.Revision)
	for _, c := range t.Changes {
		after.put(c.Key, c.After)
	}
	for _, e := range t.moved {
		after.put(e.Object.Key(), e)
	}
	return after
}
