package relaxed

import (
	"runtime"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestOneWriterManyReaders: what a reader sees of a counter only grows, and in
// the end is all that was added. Under the race detector it also says that
// the detector is content with these stores.
func TestOneWriterManyReaders(t *testing.T) {
	const n = 20_000
	var counter, replaced uint64
	done := make(chan struct{})
	for range 2 {
		go func() {
			var before uint64
			for before < n {
				now := atomic.LoadUint64(&counter)
				if now < before || now > n {
					t.Errorf("read %d after %d", now, before)
					break
				}
				if r := atomic.LoadUint64(&replaced); r&0xffffffff != r>>32 {
					t.Errorf("read %#x, half of two values", r)
					break
				}
				before = now
				runtime.Gosched()
			}
			done <- struct{}{}
		}()
	}
	for i := range uint64(n) {
		Store(&replaced, i<<32|i)
		Add(&counter, 1)
	}
	<-done
	<-done
}

func TestEveryWord(t *testing.T) {
	var a uint32 = 1<<32 - 1
	var b uint64 = 1 << 40
	var c int64 = -5
	Add(&a, 2)
	Add(&b, 1)
	Add(&c, -1)
	require.EqualValues(t, 1, a, "counters wrap")
	require.EqualValues(t, 1<<40+1, b)
	require.EqualValues(t, -6, c)
	Store(&a, 7)
	Store(&b, 1<<63)
	Store(&c, -1<<63)
	require.EqualValues(t, 7, a)
	require.EqualValues(t, uint64(1)<<63, b)
	require.EqualValues(t, -1<<63, c)
	require.Zero(t, testing.AllocsPerRun(100, func() { Add(&a, 1); Store(&b, 2); Store(&c, 3) }))
}
