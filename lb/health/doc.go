// Package health finds out which members of pools are up: by probing them, which is
// what active monitors say, in the ways of the types of service.Monitor.
//
//	Set ──▶ targets ─┬─▶ probe (monitor, address space, address, port) ──▶ due ──▶ in flight ──▶ result
//	                 └─▶ probe …                                            ▲                      │
//	                                                                        └──── interval ◀───────┤
//	Report ◀── the worst of a member's probes, when that changes ◀── rise, fall ◀──────────────────┘
//
// Members that have an address, a port and a monitor in common are probed once. A
// member is up when all of its monitors say so. It begins in state Unknown, out of service, and
// is up with its first good probe; from then on it takes fall bad ones in a
// row, or rise good ones, to change that.
//
// Probes wait in a heap by due time, and cost a goroutine only while they are in flight.
package health
