package lint

import (
	"github.com/sluice-net/sluice/firewall/policy"
)

// part is a part of a rule, of which no packet may have what it asks for.
type part uint8

const (
	partNone part = iota
	partAppliedTo
	partSource
	partDestination
	partServices
	partFamily // source or destination have no address of the IP version
)

// condition is a set as a rule names it.
type condition struct {
	list     int
	id       policy.SetID
	not      bool
	families policy.Families
}

// location is where a rule is.
type location struct {
	list       int
	id         policy.SetID
	directions policy.Direction
}

// makeBoxes turns the rules of all entries into boxes.
func (y *layer) makeBoxes() {
	points := make(map[location]uint32)
	conditions := make(map[condition]uint32)
	var families [4]set
	if !y.ethernet {
		v4 := y.addresses.parts.of(y.addresses.v4)
		families[policy.IPv4], families[policy.IPv6] = v4, y.dims[atSrc].but(v4)
	}
	address := func(list int, id policy.SetID, not bool, f policy.Families) uint32 {
		if f == policy.IPv4|policy.IPv6 || y.ethernet {
			f = 0
		}
		key := condition{list, id, not, f}
		v, known := conditions[key]
		if !known {
			s := y.dims[atSrc].values[anything]
			if id != policy.Any {
				s = y.classesOf(list, id)
			}
			if not {
				s = y.dims[atSrc].but(s)
			}
			if f != 0 {
				s = s.and(families[f&3], nil)
			}
			v = y.dims[atSrc].value(s)
			y.dims[atDst].value(s) // sources and destinations have the same numbers
			conditions[key] = v
		}
		return v
	}
	for i := range y.entries {
		e := &y.entries[i]
		e.from = uint32(len(y.boxes))
		r := e.rule
		at := location{e.list, r.AppliedTo, r.Directions}
		if e.isDefault() {
			at = location{e.list, policy.Any, policy.In | policy.Out}
		}
		var v [numDims]uint32
		var known bool
		if e.section == unfilteredSection {
			v[atPoint] = y.dims[atPoint].value(y.pointSet(y.unfiltered(e.list), at.directions))
		} else if v[atPoint], known = points[at]; !known {
			v[atPoint] = y.pointsOf(at)
			points[at] = v[atPoint]
		}
		if !e.isDefault() {
			v[atSrc] = address(e.list, r.Source, r.SourceNot, r.Families)
			v[atDst] = address(e.list, r.Destination, r.DestNot, r.Families)
		}
		e.wanting = y.wanting(e, &v)
		if e.wanting == partNone {
			y.addBoxes(uint32(i), v)
		}
		e.to = uint32(len(y.boxes))
	}
	for d := range y.nd {
		y.dims[d].settle(y.boxes, d)
	}
	y.jumps = make(row, (len(y.boxes)+63)/64)
	for i := range y.boxes {
		if y.entries[y.boxes[i].entry].jump() {
			y.jumps[i>>6] |= 1 << (i & 63)
		}
	}
}

func (y *layer) pointsOf(at location) uint32 {
	if at.id != policy.Any {
		return y.dims[atPoint].value(y.pointSet(y.portsIn(at.list, at.id), at.directions))
	}
	all := make([]uint32, len(y.ports))
	for i := range all {
		all[i] = uint32(i)
	}
	return y.dims[atPoint].value(y.pointSet(all, at.directions))
}

func (y *layer) classesOf(list int, id policy.SetID) set {
	if y.ethernet {
		return y.macs.parts.of(y.macs.members(list, id))
	}
	return y.addresses.parts.of(y.addresses.members(list, id))
}

// wanting says which part of a rule no packet has, if there is one.
func (y *layer) wanting(e *entry, v *[numDims]uint32) part {
	switch {
	case v[atPoint] == nothing:
		return partAppliedTo
	case !e.isDefault() && !y.ethernet && e.rule.Families&(policy.IPv4|policy.IPv6) == 0:
		return partFamily
	case v[atSrc] == nothing:
		return y.wantingAddress(e, e.rule.Source, e.rule.SourceNot, partSource)
	case v[atDst] == nothing:
		return y.wantingAddress(e, e.rule.Destination, e.rule.DestNot, partDestination)
	case !e.isDefault() && len(y.services.of(e.rule)) == 0:
		return partServices
	}
	for i := range y.places {
		p := &y.places[i]
		if y.dims[atPoint].values[v[atPoint]].intersects(p.masks[atPoint]) &&
			y.dims[atSrc].values[v[atSrc]].intersects(p.masks[atSrc]) &&
			y.dims[atDst].values[v[atDst]].intersects(p.masks[atDst]) {
			return partNone
		}
	}
	return partFamily
}

// wantingAddress says whether a condition holds of nobody at all, or of nobody of the rule's IP versions.
func (y *layer) wantingAddress(e *entry, id policy.SetID, not bool, p part) part {
	s := y.dims[atSrc].values[anything]
	if id != policy.Any {
		s = y.classesOf(e.list, id)
	}
	if not {
		s = y.dims[atSrc].but(s)
	}
	if s.empty() {
		return p
	}
	return partFamily
}

// addBoxes appends a box for each that the rule's services have.
func (y *layer) addBoxes(number uint32, v [numDims]uint32) {
	e := &y.entries[number]
	if e.isDefault() {
		y.boxes = append(y.boxes, box{number, v})
		return
	}
	for _, s := range y.services.of(e.rule) {
		b := box{number, v}
		for d := atProtocol; d < y.nd; d++ {
			b.v[d] = y.dims[d].value(y.services.set(d, &s))
		}
		y.boxes = append(y.boxes, b)
	}
}
