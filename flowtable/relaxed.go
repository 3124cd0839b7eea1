//go:build !race

package flowtable

// relaxedAdd adds to a counter that only the calling goroutine writes and that
// others may read with an atomic load. Words are written whole (Go memory
// model, "Restrictions on implementations": a read of a word-sized location
// observes a value actually written), so no reader sees a torn value; what is
// given up is only the store's order, and with it the XCHG that
// atomic.StoreUint64 costs on amd64, 5 ns for each counter of each packet. The race
// detector has no word for this, so relaxed_race.go does the same with atomics.
func relaxedAdd(p *uint64, n uint64) { *p += n }

// relaxedStore is relaxedAdd's sibling for a value that is replaced.
func relaxedStore(p *int64, v int64) { *p = v }

// relaxedStore64 is the same for words of a session record.
func relaxedStore64(p *uint64, v uint64) { *p = v }
func relaxedStore32(p *uint32, v uint32) { *p = v }
