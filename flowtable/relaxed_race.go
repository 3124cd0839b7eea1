//go:build race

package flowtable

import "sync/atomic"

func relaxedAdd(p *uint64, n uint64)     { atomic.StoreUint64(p, atomic.LoadUint64(p)+n) }
func relaxedStore(p *int64, v int64)     { atomic.StoreInt64(p, v) }
func relaxedStore64(p *uint64, v uint64) { atomic.StoreUint64(p, v) }
func relaxedStore32(p *uint32, v uint32) { atomic.StoreUint32(p, v) }
