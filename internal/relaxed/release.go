//go:build race || !amd64

package relaxed

import "sync/atomic"

// Release replaces a value that only the calling goroutine writes, after all that it has written before: who reads it
// by an atomic load sees that, too. Unlike an atomic store it need not wait until others see it, so what is
// loaded next may be older.
func Release[W Word](p *W, v W) {
	switch p := any(p).(type) {
	case *uint32:
		atomic.StoreUint32(p, uint32(v))
	case *uint64:
		atomic.StoreUint64(p, uint64(v))
	case *int64:
		atomic.StoreInt64(p, int64(v))
	}
}
