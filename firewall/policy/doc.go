// Package policy is a firewall policy as data, resolved and in the order of
// evaluation: what control makes of what users wrote, and what firewall
// enforces, lint examines and evaluation asks. It knows no object, no packet's
// bytes and no engine.
//
// Everything in it is immutable once it is part of a Policy, and shared with
// the Policies before and after: a Section, Set or Endpoint that is the same
// pointer is the same in all that it says. Whoever compiles a Policy does anew
// only what has another pointer.
package policy
