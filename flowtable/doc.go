// Package flowtable is the table of sessions that all workers share: which
// packets belong together, what was decided about them, and what has become of
// them.
//
//	key ──hash──> Index ──id──> Entry (one direction: permit, counters)
//	                              │ side by side with the peer's
//	                            session (both directions: protocol state)
//
// # Workers and validity
//
// Each poll loop has a Worker. An ID that a worker has looked up or created
// stays valid, and so does what it points at, until that worker calls Quiesce,
// once per iteration, when it holds none. A worker that is going to wait for
// something calls Offline before and Online after: sessions that have ended are
// recycled only when every worker that is online has been through Quiesce.
// Others who want to look (listings) are readers: see Table.Sessions and
// Table.Reader.
//
// # Limits
//
// The table has a fixed number of sessions. Whoever finds it full makes room,
// in this order:
//
//  1. the embryonic session (handshake not completed, no reply yet) that was
//     created first,
//  2. the closing or closed session that began to close first,
//  3. of 32 established sessions, the one that was silent longest.
//
// 1 and 2 are queues, and exact. 3 is a sample, so that the work is bounded
// whatever the table's size: a flood of new sessions must not buy itself long
// polls. If there is no session to give, the new one is refused:
// SessionTableFull.
//
// Flood caps bound half-open TCP sessions, and all sessions of UDP, ICMP and
// other protocols. A cap that is reached makes room within its own family, in
// the same order, where the cap of half-open TCP takes half-open sessions only.
// The limit per source address (and zone) refuses
// (SourceLimit): a source that may evict others' sessions is no limit.
package flowtable
