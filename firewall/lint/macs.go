package lint

import (
	"bytes"
	"slices"

	"github.com/sluice-net/sluice/firewall/policy"
	"github.com/sluice-net/sluice/packet"
)

// macs sorts MAC addresses into classes. Things are those that sets and endpoints name, and
// one that stands for all others.
type macs struct {
	named []packet.MAC // ascending; thing len(named) is everybody else
	parts *partition
	lists []*policy.Policy
}

func sortMACs(lists []*policy.Policy, used []map[policy.SetID]bool) *macs {
	m := &macs{lists: lists}
	for l, ids := range used {
		for _, e := range lists[l].Endpoints {
			if e != nil {
				m.named = append(m.named, e.MACs...)
			}
		}
		for id := range ids {
			if s := setOf(lists[l], id); s != nil {
				m.named = append(m.named, s.MACs...)
			}
		}
	}
	slices.SortFunc(m.named, compareMACs)
	m.named = slices.Compact(m.named)
	m.parts = newPartition(len(m.named) + 1)
	for l, ids := range used {
		for _, id := range sortedIDs(ids) {
			m.parts.split(m.members(l, id))
		}
	}
	m.parts.compact()
	return m
}

func compareMACs(a, b packet.MAC) int { return bytes.Compare(a[:], b[:]) }

// members returns the things that are in a set of a list, each once.
func (m *macs) members(l int, id policy.SetID) []uint32 {
	s := setOf(m.lists[l], id)
	if s == nil {
		return nil
	}
	var things []uint32
	add := func(all []packet.MAC) {
		for _, mac := range all {
			if i, found := slices.BinarySearchFunc(m.named, mac, compareMACs); found {
				things = append(things, uint32(i))
			}
		}
	}
	add(s.MACs)
	for _, port := range s.Ports {
		if e := endpointOf(m.lists[l], port); e != nil {
			add(e.MACs)
		}
	}
	slices.Sort(things)
	return slices.Compact(things)
}
