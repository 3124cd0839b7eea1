package lint

import (
	"slices"

	"github.com/sluice-net/sluice/firewall/policy"
)

// layer is all that decides about one kind of thing, IP packets or frames, in one policy or in two that
// are compared, in terms of classes: each rule is the union of a few boxes.
type layer struct {
	ethernet bool
	lists    []*policy.Policy
	nd       int // dimensions that there are
	dims     [numDims]dimension
	places   []place
	realms   []realm
	points   *partition // of ports
	ports    []uint16   // by thing of points
	realmOf  []uint32   // by thing of points: realm of the port

	addresses *addresses // of IP packets
	macs      *macs      // of frames
	services  *services

	entries []entry // of the first list, then of the second; each in order of evaluation
	boxes   []box   // of the entries, in their order
	jumps   row     // boxes of rules that go on in tier 1
	extent  []extent
}

// realm is where addresses mean the same to the policies: a scope of each that filters there.
type realm struct {
	scope    [2]uint32
	filtered [2]bool
}

// place is packets that can be: the points of a realm, with addresses that are of one family.
type place struct {
	realm uint32
	v4    bool
	masks [atDst + 1]set // of points, and of addresses

	samples []sample // addresses by class, for witnesses; nil is not known yet
}

// entry is a rule in order of evaluation.
type entry struct {
	list    int
	tier    int
	section *policy.Section
	rule    *policy.Rule
	action  policy.Action
	from    uint32 // its boxes are from here
	to      uint32 // to before here
	wanting part   // why it has none, if it has none
}

// box is conditions that have to hold together, as values by dimension.
type box struct {
	entry uint32
	v     [numDims]uint32
}

// jump reports whether an entry goes on in tier 1 rather than decide.
func (e *entry) jump() bool { return e.tier == 0 && e.action == policy.JumpToApplication }

// entriesOf returns the rules of a list that a layer is about.
func entriesOf(ethernet bool, l int, p *policy.Policy, compared bool) []entry {
	var all []entry
	if compared {
		// What a policy does not filter passes: asked first, at points that only the other policy filters.
		all = append(all, entry{list: l, section: unfilteredSection, rule: &unfilteredSection.Rules[0]})
	}
	tiers := 2
	if ethernet {
		tiers = 1
	}
	for tier := range tiers {
		for _, s := range p.Sections {
			of := 0
			if s.Category == policy.Application {
				of = 1
			}
			if s.Marker || (s.Category == policy.Ethernet) != ethernet || of != tier && !ethernet {
				continue
			}
			for i := range s.Rules {
				e := entry{list: l, tier: tier, section: s, rule: &s.Rules[i], action: s.Rules[i].Action}
				// control refuses jumps from where there is nothing to jump to; this is what the firewall would do.
				switch {
				case e.action != policy.JumpToApplication:
				case ethernet:
					e.action = policy.Allow
				case tier == 1:
					e.action = policy.Drop
				}
				all = append(all, e)
			}
		}
	}
	last := entry{list: l, tier: tiers - 1, section: defaultSection, rule: &p.Default, action: p.Default.Action}
	if ethernet {
		last.section, last.rule, last.action = ethernetDefaultSection, &ethernetDefaultSection.Rules[0], policy.Allow
	}
	return append(all, last)
}

// Sections of rules that nobody wrote.
var (
	unfilteredSection = &policy.Section{
		Title: "unfiltered", Rules: []policy.Rule{{Name: "port is not filtered", Action: policy.Allow, Directions: policy.In | policy.Out}},
	}
	defaultSection         = &policy.Section{Title: "default", Category: policy.Application}
	ethernetDefaultSection = &policy.Section{
		Title: "default-layer2", Category: policy.Ethernet,
		Rules: []policy.Rule{{ID: policy.EthernetDefaultRuleID, Name: "default", Action: policy.Allow}},
	}
)

// isDefault reports whether nobody wrote a rule.
func (e *entry) isDefault() bool {
	return e.section == defaultSection || e.section == ethernetDefaultSection || e.section == unfilteredSection
}

func newLayer(ethernet bool, lists ...*policy.Policy) *layer {
	y := &layer{ethernet: ethernet, lists: lists, nd: numDims}
	for l, p := range lists {
		y.entries = append(y.entries, entriesOf(ethernet, l, p, len(lists) > 1)...)
	}
	y.sortPoints()
	y.dims[atPoint] = newDimension(2 * int(y.points.n))
	used := y.used(func(r *policy.Rule) []policy.SetID { return []policy.SetID{r.Source, r.Destination} })
	if ethernet {
		y.nd = atProtocol + 1
		y.macs = sortMACs(lists, used)
		y.services = sortEtherTypes(y.entries)
		y.dims[atSrc], y.dims[atDst] = newDimension(int(y.macs.parts.n)), newDimension(int(y.macs.parts.n))
	} else {
		y.addresses = sortAddresses(lists, y.realms, used)
		y.services = sortServices(y.entries)
		y.dims[atSrc], y.dims[atDst] = newDimension(int(y.addresses.parts.n)), newDimension(int(y.addresses.parts.n))
	}
	for d := atProtocol; d < y.nd; d++ {
		y.dims[d] = newDimension(y.services.classes(d))
	}
	y.findPlaces()
	y.makeBoxes()
	y.extent = y.extents()
	return y
}

// used returns the sets that rules name in some role, by list.
func (y *layer) used(role func(*policy.Rule) []policy.SetID) []map[policy.SetID]bool {
	used := make([]map[policy.SetID]bool, len(y.lists))
	for l := range used {
		used[l] = make(map[policy.SetID]bool)
	}
	for i := range y.entries {
		for _, id := range role(y.entries[i].rule) {
			if id != policy.Any {
				used[y.entries[i].list][id] = true
			}
		}
	}
	return used
}

// filters reports whether a policy has rules for a port.
func filters(p *policy.Policy, port uint16) bool {
	if endpointOf(p, port) == nil {
		return false
	}
	excluded := setOf(p, p.Excluded)
	return excluded == nil || !slices.Contains(excluded.Ports, port)
}

// sortPoints finds the ports at which rules are asked, and those among them that no rule tells apart.
func (y *layer) sortPoints() {
	numbers := make(map[realm]uint32)
	most := 0
	for _, p := range y.lists {
		most = max(most, len(p.Endpoints))
	}
	for n := range most {
		port := uint16(n)
		var r realm
		for l, p := range y.lists {
			if filters(p, port) {
				r.filtered[l] = true
				if !y.ethernet { // MAC addresses have no scope
					r.scope[l] = p.Endpoints[port].Scope
				}
			}
		}
		if r.filtered == ([2]bool{}) {
			continue
		}
		number, known := numbers[r]
		if !known {
			number = uint32(len(y.realms))
			numbers[r] = number
			y.realms = append(y.realms, r)
		}
		y.realmOf = append(y.realmOf, number)
		y.ports = append(y.ports, port)
	}
	y.points = newPartition(len(y.ports))
	for l := range y.lists {
		y.points.split(y.unfiltered(l))
	}
	for l, ids := range y.used(func(r *policy.Rule) []policy.SetID { return []policy.SetID{r.AppliedTo} }) {
		for _, id := range sortedIDs(ids) {
			y.points.split(y.portsIn(l, id))
		}
	}
	y.points.compact()
}

// unfiltered returns the ports, as things of points, that a list does not filter.
func (y *layer) unfiltered(l int) []uint32 {
	var things []uint32
	for i := range y.ports {
		if !y.realms[y.realmOf[i]].filtered[l] {
			things = append(things, uint32(i))
		}
	}
	return things
}

// portsIn returns the ports of a set, as things of points.
func (y *layer) portsIn(l int, id policy.SetID) []uint32 {
	s := setOf(y.lists[l], id)
	if s == nil {
		return nil
	}
	var things []uint32
	for _, port := range slices.Compact(slices.Sorted(slices.Values(s.Ports))) {
		if i, found := slices.BinarySearch(y.ports, port); found {
			things = append(things, uint32(i))
		}
	}
	return things
}

// pointClass returns the class of a point, of one direction, at a port, which is a thing of points.
func (y *layer) pointClass(thing uint32, direction policy.Direction) uint32 {
	c := 2 * y.points.class[thing]
	if direction == policy.Out {
		c++
	}
	return c
}

// pointSet returns the points that are at ports, which are things of points, in some directions.
func (y *layer) pointSet(things []uint32, directions policy.Direction) set {
	s := set{0, make([]uint64, (2*y.points.n+63)/64)}
	for _, t := range things {
		for _, direction := range [...]policy.Direction{policy.In, policy.Out} {
			if c := y.pointClass(t, direction); directions&direction != 0 {
				s.words[c>>6] |= 1 << (c & 63)
			}
		}
	}
	return s
}

// findPlaces makes the places, but those of which each packet has one in another that all rules treat alike.
func (y *layer) findPlaces() {
	inRealm := make([][]uint32, len(y.realms))
	for i, r := range y.realmOf {
		inRealm[r] = append(inRealm[r], uint32(i))
	}
	var all []place
	for r := range y.realms {
		points := y.pointSet(inRealm[r], policy.In|policy.Out)
		if y.ethernet {
			macs := fullSet(int(y.macs.parts.n))
			all = append(all, place{realm: uint32(r), masks: [...]set{points, macs, macs}})
			continue
		}
		for _, v4 := range []bool{true, false} {
			classes := y.addresses.parts.of(y.addresses.in(uint32(r), v4))
			all = append(all, place{realm: uint32(r), v4: v4, masks: [...]set{points, classes, classes}})
		}
	}
	slices.SortStableFunc(all, func(a, b place) int {
		return b.masks[atPoint].count() + b.masks[atSrc].count() - a.masks[atPoint].count() - a.masks[atSrc].count()
	})
	for _, p := range all {
		if !slices.ContainsFunc(y.places, func(q place) bool {
			return p.v4 == q.v4 && p.masks[atPoint].within(q.masks[atPoint]) && p.masks[atSrc].within(q.masks[atSrc])
		}) {
			y.places = append(y.places, p)
		}
	}
}
