// Package dhcp tells workloads their addresses and what else they need to know
// of their segment: DHCPv4, router advertisements, DHCPv6.
//
// An answer is a function of the port, the message and the configuration: the
// address that a client gets is the one bound to its port and MAC. So there is
// no lease database, nothing is lost in a restart, nothing can run out, and a
// replay gives the same answers byte for byte. OVN does the same in its flows.
//
//	frame ─▶ port 67, 547, or a router solicitation? ── no ──▶ the next decider
//	                        │
//	                       yes ── for another server ─────────▶ the next decider
//	                        ├──── no address for this client ──▶ NoAddress
//	                        └──── ours ── answer out of the port it came by, Consume
//
// The server is our own, though insomniacslk/dhcp has one: that binds sockets,
// allocates for every option and answers when its goroutines come to it. Here a
// decider answers within the frame's turn, without allocating, by the worker's clock.
// The library is what the tests' clients are made of, and so the second opinion
// about every byte that is sent.
//
// What the server does not do, since it needs a memory or a second server:
// relay agents (RFC 3046), leasequery, reconfigure, prefix delegation, BOOTP.
// Messages of that kind pass if they are for many, and are dropped if they are
// addressed to the server.
package dhcp
