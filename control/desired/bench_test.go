package desired

import (
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-net/sluice/api"
	"github.com/sluice-net/sluice/control"
	"github.com/sluice-net/sluice/control/store"
)

// podsOf is a namespace's pods as YAML, like those that clusters have.
func podsOf(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "---\napiVersion: v1\nkind: Pod\nmetadata: {name: web-%d, namespace: shop, labels: {app: web, pod-template-hash: 5d59d67564}}\n"+
			"spec: {containers: [{name: web, image: 'nginx:1.27', ports: [{containerPort: 8080}]}]}\nstatus: {podIP: 10.1.%d.%d}\n", i, i/250, i%250+1)
	}
	return b.String()
}

// compiled allocates as control.Compile does for pods: a number and an address each.
func compiled(s *Set) *control.Allocations {
	a := &control.Allocations{Numbers: map[string]uint16{}, Zones: map[string]uint32{"segment/shop": 1}, LastZone: 1, Addresses: map[string][]netip.Addr{}}
	for e := range s.Kind("Pod") {
		name := e.Object.Namespace + "/" + e.Object.Name
		a.Numbers[name] = uint16(len(a.Numbers) + 1)
		a.Addresses[name] = []netip.Addr{netip.AddrFrom4([4]byte{10, 2, byte(len(a.Numbers) >> 8), byte(len(a.Numbers))})}
	}
	return a
}

// written is how many bytes the process has given to the kernel to write.
func written(b *testing.B) (n int) {
	data, err := os.ReadFile("/proc/self/io")
	require.NoError(b, err)
	_, err = fmt.Sscanf(strings.SplitN(string(data), "wchar:", 2)[1], "%d", &n)
	require.NoError(b, err)
	return n
}

// BenchmarkChangeOneOf5000Pods applies a pod that differs and allocates it a port's number, in a
// file on the disk.
func BenchmarkChangeOneOf5000Pods(b *testing.B) {
	bolt, err := store.OpenBolt(filepath.Join(b.TempDir(), "state.db"))
	require.NoError(b, err)
	defer bolt.Close() //nolint:errcheck // a benchmark's
	db, err := Open(bolt)
	require.NoError(b, err)
	change := func(list []*control.Object, a func(*Set) *control.Allocations) (planned time.Duration) {
		begin := time.Now()
		txn, err := db.Plan(db.Set(), &Request{Verb: api.VerbApply, Objects: list, At: time.Unix(1, 0)})
		require.NoError(b, err)
		planned = time.Since(begin)
		p, err := db.Prepare([]*Transaction{txn}, "digest", a(db.Set().With(txn)))
		require.NoError(b, err)
		p.Done()
		return planned
	}
	change(objects(b, "-", podsOf(5000)), compiled)
	base := compiled(db.Set())
	before, planned, n := written(b), time.Duration(0), 0
	for b.Loop() {
		n++
		a := *base
		a.LastZone = uint32(n)
		planned += change(objects(b, "-", fmt.Sprintf("{apiVersion: v1, kind: Pod, metadata: {name: web-%d, namespace: shop, labels: {app: 'v%d'}}}", n*37%5000, n)),
			func(*Set) *control.Allocations { return &a })
	}
	b.ReportMetric(float64(written(b)-before)/float64(n), "written-B/op")
	b.ReportMetric(float64(planned.Nanoseconds())/float64(n), "plan-ns/op")
}

func BenchmarkOpen5000Pods(b *testing.B) {
	path := filepath.Join(b.TempDir(), "state.db")
	bolt, err := store.OpenBolt(path)
	require.NoError(b, err)
	db, err := Open(bolt)
	require.NoError(b, err)
	txn, err := db.Plan(db.Set(), &Request{Verb: api.VerbApply, Objects: objects(b, "-", podsOf(5000)), At: time.Unix(1, 0)})
	require.NoError(b, err)
	p, err := db.Prepare([]*Transaction{txn}, "digest", compiled(db.Set().With(txn)))
	require.NoError(b, err)
	p.Done()
	require.NoError(b, bolt.Close())
	for b.Loop() {
		bolt, err := store.OpenBolt(path)
		require.NoError(b, err)
		_, err = Open(bolt)
		require.NoError(b, err)
		require.NoError(b, bolt.Close())
	}
	info, err := os.Stat(path)
	require.NoError(b, err)
	b.ReportMetric(float64(info.Size()), "file-B")
}
