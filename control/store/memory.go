package store

import (
	"cmp"
	"context"
	"iter"
	"slices"
	"strings"
	"sync"
)

// Memory is a Store that forgets when the process ends: for a node that has to
// leave nothing behind, and for tests.
type Memory struct {
	mu       sync.Mutex
	records  map[string]Record
	revision uint64
	closed   bool
	feed     feed
}

// NewMemory makes an empty store.
func NewMemory() *Memory {
	m := &Memory{records: map[string]Record{}}
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
	for key, r := range m.records {
		if strings.HasPrefix(key, prefix) {
			r.Value = slices.Clone(r.Value)
			records = append(records, r)
		}
	}
	slices.SortFunc(records, func(a, b Record) int { return cmp.Compare(a.Key, b.Key) })
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
		if err := changes[i].check(m.records[changes[i].Key].Revision); err != nil {
			return 0, err
		}
	}
	m.revision++
	for _, c := range changes {
		if c.Value == nil {
			delete(m.records, c.Key)
			continue
		}
		m.records[c.Key] = Record{c.Key, slices.Clone(c.Value), m.revision}
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
