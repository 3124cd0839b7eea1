//go:build !race

// Package relaxed writes words that one goroutine owns and others read with
// atomic loads: counters of the packet path, and what sessions and flow entries
// say of themselves.
//
// Words are written whole (Go memory model, "Implementation Restrictions for
// Programs Containing Data Races": a read of a word-sized location observes a
// value actually written), so no reader sees a torn value. What is given up is
// the store's order, and with it the XCHG that atomic.StoreUint64 costs on
// amd64: 5 ns for each counter of each packet. The race detector knows no such
// store, so in race builds these are atomic.
package relaxed

// Word is what the processor writes whole.
type Word interface{ uint32 | uint64 | int64 }

// Add adds n to a counter that only the calling goroutine writes.
func Add[W Word](p *W, n W) { *p += n }

// Store replaces a value that only the calling goroutine writes.
func Store[W Word](p *W, v W) { *p = v }
