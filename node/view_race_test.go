package node_test

import (
	"encoding/binary"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-net/sluice/api"
	"github.com/sluice-net/sluice/dataplane"
	"github.com/sluice-net/sluice/internal/frametext"
	"github.com/sluice-net/sluice/node"
	"github.com/sluice-net/sluice/port/mem"
)

// lookAtAll takes all items of all views, and returns how many there were.
func lookAtAll(n *node.Node) (items int, err error) {
	f := &api.Filter{}
	count := func(more int, why error) {
		items += more
		if err == nil {
			err = why
		}
	}
	count(sizeOf(n.PortViews(f)))
	count(sizeOf(n.SegmentViews(f)))
	count(sizeOf(n.RouteViews(f)))
	count(sizeOf(n.MACViews(f)))
	count(sizeOf(n.NeighborViews(f)))
	count(sizeOf(n.SessionViews(f)))
	count(sizeOf(n.WorkerViews(f)))
	count(sizeOf(n.DropViews(f)))
	count(sizeOf(n.PoolViews(f)))
	count(sizeOf(n.RuleViews(f)))
	count(sizeOf(n.PolicyViews(f)))
	count(sizeOf(n.GroupViews(f)))
	_, why := n.EvaluatePolicy(&api.PolicyQuery{From: "a", To: "b", Protocol: "udp", Port: 53})
	count(1, why)
	_, why = n.LintPolicy()
	count(1, why)
	n.Status()
	return items, err
}

func sizeOf[T any](all func(func(T) bool), err error) (n int, _ error) {
	if err != nil {
		return 0, err
	}
	for range all {
		n++
	}
	return n, nil
}

// Views are looked at while workers forward, learn and expire, while revisions are
// put in force, and while the node is closed: nothing tears, nobody waits for ever.
func TestViewsUnderTraffic(t *testing.T) {
	devices := &memDevices{byName: map[string]*mem.Port{}}
	m := lan(t, 1, nil, "a", "b")
	n, err := node.New(node.Options{Workers: 2, Open: devices.open, Tolerant: true, Buffers: 4096, Supers: 4}, m)
	require.NoError(t, err)
	require.NoError(t, n.Start(dataplane.Idle{Spin: time.Microsecond, Nap: time.Millisecond}, 0))

	var stop atomic.Bool
	var wg sync.WaitGroup
	var seen atomic.Int64
	a, b := devices.byName["a"], devices.byName["b"]
	wg.Go(func() {
		for i := 0; !stop.Load(); i++ {
			f, _ := frametext.Parse(fmt.Sprintf("udp 10.0.0.10:%d > 10.0.0.11:53 len 20", 1000+i%5000))
			g, _ := frametext.Parse(fmt.Sprintf("arp 10.0.0.10 who-has 10.0.0.%d", 1+i%250))
			a.Inject(f, g)
			if i%32 == 0 {
				time.Sleep(100 * time.Microsecond)
				b.Sent()
				a.Sent()
			}
		}
	})
	var looks sync.WaitGroup
	for range 3 {
		looks.Go(func() {
			for {
				items, err := lookAtAll(n)
				seen.Add(int64(items))
				if err != nil {
					return // closed
				}
			}
		})
	}
	for revision := uint64(2); revision < 30; revision++ {
		ports := []string{"a", "b"}
		if revision%2 == 0 {
			ports = append(ports, "c")
		}
		m = lan(t, revision, m, ports...)
		require.NoError(t, n.Apply(m))
		time.Sleep(5 * time.Millisecond)
	}
	require.Greater(t, seen.Load(), int64(1000))
	require.NoError(t, n.Close())
	stop.Store(true)
	wg.Wait()
	looks.Wait()
	_, err = n.PortViews(&api.Filter{})
	require.EqualError(t, err, "the node is closed")
	require.Zero(t, n.Status())
}

// A listing that is under way when the node is closed just ends.
func TestViewOfANodeThatIsClosed(t *testing.T) {
	n, devices := viewed(t)
	for i := range 600 {
		step(t, n, devices.byName["web/a"], fmt.Sprintf("udp 10.0.1.10:%d > 10.0.1.11:53", 1000+i))
	}
	sessions, err := n.SessionViews(&api.Filter{})
	require.NoError(t, err)
	macs, err := n.MACViews(&api.Filter{})
	require.NoError(t, err)
	got := 0
	for range sessions {
		if got++; got == 1 {
			require.NoError(t, n.Close())
		}
	}
	require.Less(t, got, 600, "the page that was there already, no more")
	for range macs {
		got++
	}
}

// A hundred thousand sessions are listed in the memory of a page.
func TestSessionViewsAreStreamed(t *testing.T) {
	sessions := 100_000
	if testing.Short() {
		sessions = 10_000
	}
	devices := &memDevices{byName: map[string]*mem.Port{}}
	n, err := node.New(node.Options{Workers: 1, Open: devices.open, Buffers: 4096, Supers: 4}, lan(t, 1, nil, "a", "b"))
	require.NoError(t, err)
	defer func() { require.NoError(t, n.Close()) }()
	a, b := devices.byName["a"], devices.byName["b"]
	frame, err := frametext.Parse("udp 10.0.0.10:1 > 10.0.0.11:1 nocsum")
	require.NoError(t, err)
	w := n.Engine().Worker(0)
	for i := range sessions {
		binary.BigEndian.PutUint16(frame[34:], uint16(1+i%50_000))
		binary.BigEndian.PutUint16(frame[36:], uint16(1+i/50_000))
		if a.Inject(frame); i%64 == 63 || i == sessions-1 {
			w.Step(dataplane.Now())
			b.Sent()
		}
	}
	require.Equal(t, sessions, n.Engine().Table().Stats().Live)

	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	views, err := n.SessionViews(&api.Filter{Protocol: "udp", Port: "a"})
	require.NoError(t, err)
	listed := 0
	for v := range views {
		if v.Original.Port != "a" || v.Reply.Port != "b" {
			t.Fatalf("%+v", v)
		}
		listed++
	}
	runtime.ReadMemStats(&after)
	require.Equal(t, sessions, listed)
	require.Less(t, after.TotalAlloc-before.TotalAlloc, uint64(1<<20), "bytes allocated for the whole listing")
}
