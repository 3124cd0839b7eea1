package route

import "github.com/sluice-net/sluice/dataplane"

// Decide answers a frame that asks something of the switch.
func (x localDecider) Decide(d *dataplane.Decision) {
	f := x.f
	seg := f.segmentOf(d.Zone)
	if seg == nil {
		return
	}
}
