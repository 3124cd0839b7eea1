//go:build race

package relaxed

import "sync/atomic"

// Word is what the processor writes whole.
type Word interface{ uint32 | uint64 | int64 }

// Add adds n to a counter that only the calling goroutine writes.
func Add[W Word](p *W, n W) {
	switch p := any(p).(type) {
	case *uint32:
		atomic.StoreUint32(p, atomic.LoadUint32(p)+uint32(n))
	case *uint64:
		atomic.StoreUint64(p, atomic.LoadUint64(p)+uint64(n))
	case *int64:
		atomic.StoreInt64(p, atomic.LoadInt64(p)+int64(n))
	}
}

// Store replaces a value that only the calling goroutine writes.
func Store[W Word](p *W, v W) {
	switch p := any(p).(type) {
	case *uint32:
		atomic.StoreUint32(p, uint32(v))
	case *uint64:
		atomic.StoreUint64(p, uint64(v))
	case *int64:
		atomic.StoreInt64(p, int64(v))
	}
}
