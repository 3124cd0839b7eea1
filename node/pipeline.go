package node

import (
	"slices"

	"github.com/sluice-net/sluice/dataplane"
	"github.com/sluice-net/sluice/dataplane/translate"
	"github.com/sluice-net/sluice/dhcp"
	"github.com/sluice-net/sluice/firewall"
	"github.com/sluice-net/sluice/lb"
	"github.com/sluice-net/sluice/route"
)

// The order of the pipeline and of the decision. This is the one place where
// either is written; a feature's stage or decider gets its line here.

// stages are what each vector goes through: of these, those that have something to do.
func stages(s *route.State, services *lb.Balancer) []dataplane.Stage {
	all := []dataplane.Stage{
		dataplane.StageParse,        // segment, tags, headers
		dataplane.StageStorm,        // limits on frames to many
		dataplane.StageFragments,    // ports for later fragments
		dataplane.StageLookup,       // flow entries
		dataplane.StageCheck,        // permits in force
		dataplane.StageDecide,       // the rest, by the deciders below
		dataplane.StageTrack,        // session states, counters
		dataplane.StageRewrite,      // headers of what is routed
		translate.Stage,             // addresses and ports, of what has others by now
		services.StageEncapsulate(), // IP in IP, to members that want it
		s.StageFragment(),           // packets that are too long for their way out
		dataplane.StageTransmit,
	}
	return slices.DeleteFunc(all, func(s dataplane.Stage) bool { return s.Run == nil })
}

// deciders answer for first packets, and for packets after a change.
func deciders(f *route.Forwarder, hosts *dhcp.Server, rules *firewall.Firewall, services *lb.Balancer) []dataplane.Step {
	return []dataplane.Step{
		{Name: "security", Decider: f.Security()},        // may anybody here send this?
		{Name: "guard", Decider: f.Guard()},              // may this sender send this?
		{Name: "dhcp", Decider: hosts},                   // DHCP clients, router solicitations
		{Name: "local", Decider: f.Local()},              // ARP, ND, the router's own addresses
		{Name: "ethernet", Decider: rules.Ethernet()},    // rules about frames
		{Name: "services", Decider: services.Services()}, // members of virtual servers, destinations of NAT
		{Name: "egress", Decider: rules.Egress()},        // rules of the sender's port
		{Name: "forward", Decider: f.Forward()},          // bridge, route
		{Name: "ingress", Decider: rules.Ingress()},      // rules of the receiver's port
		{Name: "source", Decider: services.Source()},     // sources of NAT
	}
}
