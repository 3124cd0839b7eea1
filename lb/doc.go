// Package lb chooses servers for connections to virtual ones, and translates
// addresses.
//
//	               ┌ Services ──▶ frontend ─▶ affinity? ─▶ pool ─▶ member        destination
//	first packet ──┤                 └─ none: NAT rules                          becomes the member
//	               └ Source ────▶ hairpin, automap, pool; NAT rules              source, once it is
//	                                                                             known where it goes
//
// Both are deciders: they are asked once about a session, and what they choose is
// its binding, for as long as it lives. The packets are rewritten by
// dataplane/translate, which needs to know no more than the session's two keys.
// What a session took of a member, a server or a stock of ports, it gives back at
// its end, by flowtable's record of it.
//
// State lives as long as the node; a Balancer is a configuration in force, and is
// immutable.
package lb
