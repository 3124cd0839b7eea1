package route

import (
	"github.com/sluice-net/sluice/dataplane"
	"github.com/sluice-net/sluice/packet"
)

// routing is the layer-3 part of a Forwarder.
type routing struct{}

// compileRouters builds the FIBs; segments and ports are compiled.
func (f *Forwarder) compileRouters(c *Config) error { return nil }

// adoptRouters revises neighbours for the forwarder that is in force now.
func (f *Forwarder) adoptRouters() {}

// answer looks at an IP packet whose destination MAC is the router's, before
// services and rules do: an echo request to one of its addresses is answered.
func (f *Forwarder) answer(d *dataplane.Decision, seg *segment) {}

// route decides about a frame whose destination MAC is the router's, at the
// end of the decision.
func (f *Forwarder) route(d *dataplane.Decision, seg *segment) { d.Drop(packet.NoRoute) }

// tickRouters does what is due: retries, expiry.
func (f *Forwarder) tickRouters(w *dataplane.Worker, now int64) {}
