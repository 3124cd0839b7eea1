package control

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/sluice-net/sluice/api"
)

// attached is what attach found, and when.
type attached struct {
	run   uint64       // the compilation that last changed a segment; 0: not known, or with faults
	named *segmentPlan // that it was given
	own   *segmentPlan
	list  []Attachment // in models: not written to again
}

// attach resolves a port's VLANs. The port's own segment is given if
// spec.segment is, else nil; it is returned as the VLANs have it.
func (c *compiler) attach(p *portPlan, v *api.PortVLAN, own *segmentPlan) *segmentPlan {
	if p.attached.run != 0 && p.attached.run == c.segmentsRun && p.attached.named == own {
		return p.attached.own
	}
	found := attached{named: own}
	if c.good(func() { found.own, found.list = c.resolveVLANs(p, v, own) }) {
		found.run = c.segmentsRun
	}
	p.attached = found
	return found.own
}

// attacher collects the attachments of one port.
type attacher struct {
	c     *compiler
	p     *portPlan
	list  []Attachment
	tags  map[[2]uint16]string    // who has the tags, for the fault
	owner map[*segmentPlan]string // path by which a segment is attached
}

func (c *compiler) resolveVLANs(p *portPlan, v *api.PortVLAN, own *segmentPlan) (*segmentPlan, []Attachment) {
	a := &attacher{c: c, p: p, tags: map[[2]uint16]string{}, owner: map[*segmentPlan]string{}}
	for _, f := range []struct {
		name  string
		given bool
		mode  api.VLANMode
		also  api.VLANMode
	}{
		{"access", v.Access != 0, api.VLANAccess, ""},
		{"native", v.Native != 0, api.VLANTrunk, ""},
		{"trunks", len(v.Trunks) > 0, api.VLANTrunk, api.VLANQinQ},
		{"outer", v.Outer != 0, api.VLANQinQ, ""},
		{"inner", v.Inner != 0, api.VLANQinQ, ""},
	} {
		if f.given && v.Mode != f.mode && v.Mode != f.also {
			c.fault(p.object, "spec.vlan."+f.name, "has no meaning in mode "+string(v.Mode), "it is for mode "+string(f.mode))
			return own, nil
		}
	}
	switch v.Mode {
	case api.VLANAccess:
		own = a.single(own, v.Access, "spec.vlan.access", 0, 0)
	case api.VLANTrunk:
		if own != nil || v.Native != 0 {
			path := "spec.vlan.native"
			if own != nil {
				path = "spec.segment"
			}
			own = a.single(own, v.Native, path, 0, 0)
		}
		a.trunks(v, own)
	case api.VLANQinQ:
		own = a.qinq(v, own)
	}
	slices.SortFunc(a.list, func(x, y Attachment) int {
		return cmp.Or(cmp.Compare(x.Outer, y.Outer), cmp.Compare(x.Inner, y.Inner))
	})
	return own, a.list
}

// single attaches the one segment that spec.segment names (own) or that has
// the VLAN, and returns it, nil if there is a fault.
func (a *attacher) single(own *segmentPlan, vlan int, path string, outer, inner uint16) *segmentPlan {
	switch {
	case own == nil && vlan == 0:
		a.c.fault(a.p.object, "spec.vlan", "which segment the frames belong to is not said", "give "+path+" or spec.segment")
		return nil
	case own == nil:
		own = a.byVLAN(vlan, path)
	case vlan != 0 && own.spec.VLAN != 0 && own.spec.VLAN != vlan:
		a.c.fault(a.p.object, path, fmt.Sprintf("segment %s has VLAN %d, not %d", own.name, own.spec.VLAN, vlan), "leave one of them out")
		return nil
	}
	if own != nil {
		a.add(outer, inner, own, path)
	}
	return own
}

// byVLAN finds the segment of a VLAN.
func (a *attacher) byVLAN(vlan int, path string) *segmentPlan {
	switch names := a.c.byVLAN[vlan]; len(names) {
	case 1:
		return a.c.segments[names[0]]
	case 0:
		a.c.fault(a.p.object, path, fmt.Sprintf("no Segment has VLAN %d", vlan), "name the segment, or give it that vlan")
	default:
		a.c.fault(a.p.object, path, fmt.Sprintf("VLAN %d stands for the segments %s", vlan, strings.Join(names, ", ")), "name one of them")
	}
	return nil
}

func (a *attacher) trunks(v *api.PortVLAN, native *segmentPlan) {
	if len(v.Trunks) == 0 {
		for vlan := range sortedVLANs(a.c.byVLAN) {
			// A segment whose frames are untagged has no tag as well.
			if s := a.byVLAN(vlan, "spec.vlan.mode"); s != nil && s != native {
				a.add(uint16(vlan), 0, s, "spec.vlan.mode")
			}
		}
		return
	}
	a.each(v.Trunks, func(vlan int, segment *segmentPlan, path string) bool {
		if vlan == v.Native && segment == native {
			// Its tagged frames are taken as well as the untagged ones.
			delete(a.owner, segment)
		}
		return a.add(uint16(vlan), 0, segment, path)
	})
}

// sortedVLANs visits the VLANs that segments have.
func sortedVLANs(byVLAN map[int][]string) func(yield func(int) bool) {
	return func(yield func(int) bool) {
		for vlan := 1; vlan <= 4094; vlan++ {
			if len(byVLAN[vlan]) > 0 && !yield(vlan) {
				return
			}
		}
	}
}

func (a *attacher) qinq(v *api.PortVLAN, own *segmentPlan) *segmentPlan {
	switch {
	case v.Outer == 0:
		a.c.fault(a.p.object, "spec.vlan", "mode qinq needs outer", "")
	case (v.Inner != 0) == (len(v.Trunks) > 0):
		a.c.fault(a.p.object, "spec.vlan", "mode qinq needs either inner or trunks", "")
	case v.Inner != 0:
		return a.single(own, v.Inner, "spec.vlan.inner", uint16(v.Outer), uint16(v.Inner))
	case own != nil:
		a.c.fault(a.p.object, "spec.segment", "a qinq port with trunks has no segment of its own", "leave it out")
	default:
		a.each(v.Trunks, func(vlan int, segment *segmentPlan, path string) bool {
			return a.add(uint16(v.Outer), uint16(vlan), segment, path)
		})
	}
	return nil
}

// each visits the VLANs of a list with their segments. A range ends at the
// first VLAN that visit refuses: one fault stands for the rest.
func (a *attacher) each(trunks []api.TrunkVLAN, visit func(vlan int, segment *segmentPlan, path string) bool) {
	for i, t := range trunks {
		path := fmt.Sprintf("spec.vlan.trunks[%d]", i)
		if t.EndVLAN != 0 {
			switch {
			case t.EndVLAN < t.VLAN:
				a.c.fault(a.p.object, path+".endVlan", fmt.Sprintf("%d is less than vlan, %d", t.EndVLAN, t.VLAN), "")
				continue
			case t.Segment != "":
				a.c.fault(a.p.object, path+".segment", "a range of VLANs is not one segment", "leave segment or endVlan out")
				continue
			}
			for vlan := t.VLAN; vlan <= t.EndVLAN; vlan++ {
				if len(a.c.byVLAN[vlan]) == 0 {
					continue // not carried
				}
				if s := a.byVLAN(vlan, path); s == nil || !visit(vlan, s, path) {
					break
				}
			}
			continue
		}
		var s *segmentPlan
		if t.Segment == "" {
			s = a.byVLAN(t.VLAN, path+".vlan")
		} else if s = a.c.existing(t.Segment); s == nil {
			a.c.fault(a.p.object, path+".segment", "there is no Segment "+cleanKey(t.Segment), didYouMean(t.Segment, a.c.segmentNames()))
		}
		if s != nil {
			visit(t.VLAN, s, path)
		}
	}
}

// claim reports tags that the port has already.
func (a *attacher) claim(tags [2]uint16, path string) bool {
	if other, found := a.tags[tags]; found {
		vlan := tags[0]
		if tags[1] != 0 {
			vlan = tags[1]
		}
		a.c.fault(a.p.object, path, fmt.Sprintf("VLAN %d is on the port twice", vlan), "also in "+other)
		return false
	}
	a.tags[tags] = path
	return true
}

// add attaches a segment, each once: a frame must leave with certain tags.
func (a *attacher) add(outer, inner uint16, segment *segmentPlan, path string) bool {
	if !a.claim([2]uint16{outer, inner}, path) {
		return false
	}
	if other, found := a.owner[segment]; found {
		a.c.fault(a.p.object, path, "segment "+segment.name+" is on the port twice", "also by "+other)
		return false
	}
	a.owner[segment] = path
	a.list = append(a.list, Attachment{Outer: outer, Inner: inner, Segment: segment.index})
	return true
}
