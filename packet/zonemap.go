package packet

// ZoneMap is a table by zone, in pages: zones are numbers up to MaxZone, of which a node uses few. The
// zero ZoneMap is empty. It may be read by any number of goroutines while nobody sets anything.
type ZoneMap[T any] struct {
	pages []*[1 << zonePageBits]T
}

const zonePageBits = 10

// Set makes v the value of a zone.
func (m *ZoneMap[T]) Set(z Zone, v T) {
	z &= MaxZone
	page := int(z >> zonePageBits)
	for len(m.pages) <= page {
		m.pages = append(m.pages, nil)
	}
	if m.pages[page] == nil {
		m.pages[page] = new([1 << zonePageBits]T)
	}
	m.pages[page][z&(1<<zonePageBits-1)] = v
}

// At returns the value of a zone; the zero value if none was set.
func (m *ZoneMap[T]) At(z Zone) (v T) {
	if page := int(z >> zonePageBits); page < len(m.pages) && m.pages[page] != nil {
		return m.pages[page][z&(1<<zonePageBits-1)]
	}
	return v
}
