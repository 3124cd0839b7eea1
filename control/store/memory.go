package store

import (
	"context"
	"iter"
	"slices"
	"strings"
	"sync"

	"github.com/tidwall/btree"
)

// Memory is a Store that forgets when the process ends: for a node that has to
// leave nothing behind, and for tests.
type Memory struct {
	mu       sync.Mutex
	records  *btree.Map[string, Record]
	revision uint64
	closed   bool
	feed     feed
}

// NewMemory makes an empty store.
func NewMemory() *Memory {
	m := &Memory{records: btree.NewMap[string, Record](0)}
	m.feed.start(0)
	return m
}

// Load implements Store.
func (m *Memory) Load(prefix string) ([]Record, uint64, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed {
		return nil, 0, ErrClosed
	}
	var records []Record
	m.records.Ascend(prefix, func(key string, r Record) bool {
		if !strings.HasPrefix(key, prefix) {
			return false
		}
		r.Value = slices.Clone(r.Value)
		records = append(records, r)
		return true
	})
	return records, m.revision, nil
}

// Save implements Store.
func (m *Memory) Save(changes ...Change) (uint64, error) {
	if err := validate(changes); err != nil {
		return 0, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed {
		return 0, ErrClosed
	}
	for i := range changes {
		is, _ := m.records.Get(changes[i].Key) // revision 0: it is not there
		if err := changes[i].check(is.Revision); err != nil {
			return 0, err
		}
	}
	m.revision++
	for _, c := range changes {
		if c.Value == nil {
			m.records.Delete(c.Key)
			continue
		}
		m.records.Set(c.Key, Record{c.Key, slices.Clone(c.Value), m.revision})
	}
	m.feed.publish(m.revision, changes)
	return m.revision, nil
}

// Watch implements Store.
func (m *Memory) Watch(ctx context.Context, prefix string, after uint64) iter.Seq2[Event, error] {
	return m.feed.watch(ctx, prefix, after)
}

// Close ends all watching; the records are gone.
func (m *Memory) Close() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.closed, m.records = true, nil
	m.feed.close()
	return nil
}
