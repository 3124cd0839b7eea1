//go:build race

package relaxed

import "sync/atomic"

// Add adds n to a counter that only the calling goroutine writes.
func Add(p *uint64, n uint64) { atomic.StoreUint64(p, atomic.LoadUint64(p)+n) }

// Store replaces a value that only the calling goroutine writes.
func Store(p *uint64, v uint64) { atomic.StoreUint64(p, v) }
