// Package firewall enforces a policy: at the port that sends, and at the port that receives.
//
// It is asked about first packets of flows, and about first packets after a change; what it
// says is kept in the flow entry, so that a packet of a session in force costs nothing here. Its
// deciders stand around the one that forwards:
//
//	Egress    rules of the sender's port, on the destination's address after load balancing
//	(forward) where does it go?
//	Ingress   rules of the receiver's port; and both ends' rules for replies, of sessions that
//	          were let through by an older policy
//
// A State lives as long as the node: counters, limits, the log. A Firewall is one policy
// in force, immutable, which Compile makes and Adopt makes the state's. As in route, what
// has the same pointer in the next policy is not looked at again.
//
// # What a change does
//
// A permit of an older epoch is asked for again at the flow's next packet, and the session's
// original direction is judged as if that packet were its first (policy.Recheck). If it may not pass any more,
// the session ends. Sessions that a section with policy.Keep let through
// carry that in their flags, whatever became of the section; those of a section with
// policy.Reset are looked for when the change is made, and both ends are told.
//
// # What is not asked
//
// ICMP errors that belong to a session follow it. IPv6 neighbour discovery, MLD and IGMP keep networks
// going and are not for rules but for the segment's security settings. Uplinks
// and excluded ports have no rules.
package firewall
