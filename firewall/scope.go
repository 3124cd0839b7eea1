package firewall

import "github.com/sluice-net/sluice/packet"

// scopes finds the address space of a zone: a table in pages, as zones are numbers up to 2^24
// of which a node uses few.
type scopes struct {
	pages []*scopePage
}

type scopePage [1 << scopeBits]uint32

const scopeBits = 10

func newScopes(zones []ZoneScope) scopes {
	var s scopes
	for _, z := range zones {
		page := int(z.Zone >> scopeBits)
		for len(s.pages) <= page {
			s.pages = append(s.pages, nil)
		}
		if s.pages[page] == nil {
			s.pages[page] = new(scopePage)
		}
		s.pages[page][z.Zone&(1<<scopeBits-1)] = z.Scope
	}
	return s
}

func (s *scopes) of(z packet.Zone) uint32 {
	if page := int(z >> scopeBits); page < len(s.pages) && s.pages[page] != nil {
		return s.pages[page][z&(1<<scopeBits-1)]
	}
	return 0
}
