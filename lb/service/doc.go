// Package service is load balancing and NAT as data: what control makes of
// Services, VirtualServers, Pools, NATRules and IPPools, and what lb puts into
// effect. It knows no object, no packet's bytes and no engine.
//
// Everything in it is immutable once it is part of a Config, and shared with
// the Configs before and after: a Server, Pool, Member or NATRule that is the
// same pointer is the same in all that it says. Whoever compiles a Config does
// anew only what has another pointer.
package service
