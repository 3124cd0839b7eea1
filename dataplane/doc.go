// Package dataplane moves frames: it polls ports, runs vectors of frames
// through a pipeline of stages and sends what comes out. It knows no feature.
//
//	       ┌──────────────── Worker.Step, one turn of a poll loop ──────────────────┐
//	Port ─▶│ receive ▶ parse ▶ storm ▶ fragments ▶ lookup ▶ check ─┬─ hit ─▶ track ▶ rewrite ▶ (features) ▶ transmit │─▶ Port
//	       │                                                       └─ Todo ▶ decide ─┘                              │
//	       └───────────────────────────────────────────────────────────────────────┘
//
// Two speeds. A frame whose flow has a permit in force costs one exact-match
// lookup, whatever the number of rules and segments; stages work on whole
// vectors, so that cache misses overlap and calls are shared by 64 frames.
// Everything else (a first packet, a permit of an older epoch, a host that has
// moved, a TTL that runs out) goes to decide, where the features' Deciders answer frame by
// frame. Decide is the authority; a permit is its answer kept.
//
// Binding and permit are different halves of a flow entry. What was bound (a
// backend, an address translation) stays for the session's life; the permit is
// asked for again, at the next packet, when a new snapshot has been published.
//
// Who may touch what: a Worker's vector, caches, counters and transmit queues
// belong to its goroutine. Workers share the flow table, the next hops, the
// arena and limiters, all lock-free on the packet path. A Snapshot is
// immutable. Ownership of a buffer is single; it passes from the device to the
// vector, to a transmit queue, to a device.
//
// The books balance. Each frame that is received, generated or replicated is in the
// end transmitted, dropped for a Reason, consumed, or held: Ledger adds it up.
package dataplane
