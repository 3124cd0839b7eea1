package node

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluice-net/sluice/control"
	"github.com/sluice-net/sluice/dataplane"
	"github.com/sluice-net/sluice/packet"
	"github.com/sluice-net/sluice/route"
)

// TestIncrementalApply puts random models in force, one after the other, which share the
// ports that are alike, as those that control makes do, while devices change. What
// the node has of each port must be what would be made of it from nothing, and
// each device that was opened be that of one port, or closed.
func TestIncrementalApply(t *testing.T) {
	changes := 600
	if testing.Short() {
		changes = 100
	}
	for _, tolerant := range []bool{false, true} {
		t.Run(fmt.Sprint("tolerant ", tolerant), func(t *testing.T) {
			r := rand.New(rand.NewPCG(7, 7))
			devices := &randomDevices{r: r, open: map[*randomDevice]bool{}}
			m := randomModel(t, r, nil)
			for m == nil {
				m = randomModel(t, r, nil)
			}
			n, err := New(Options{Workers: 1, Open: devices.new, Tolerant: tolerant, Buffers: 256, Supers: 4}, m)
			require.NoError(t, err)
			kept, refused := 0, 0
			for range changes {
				before := slices.Clone(n.ports)
				next := randomModel(t, r, m)
				devices.refuse = r.IntN(6) == 0
				switch {
				case r.IntN(8) == 0:
					devices.change()
					_, err := n.Recheck()
					require.NoError(t, err)
				case next == nil:
				case n.Apply(next) != nil:
					refused++
					require.Equal(t, before, n.ports, "what is refused changes nothing")
				default:
					m = next
				}
				devices.refuse = false
				requireParts(t, n, m)
				requireDevices(t, n, devices)
				for _, p := range n.ports {
					if slices.ContainsFunc(before, func(q *openPort) bool { return q.parts == p.parts }) {
						kept++
					}
				}
			}
			require.Greater(t, kept, 2*changes, "most ports stay what they are")
			require.Equal(t, !tolerant, refused > 0)
			require.NoError(t, n.Close())
			require.Empty(t, devices.open)
		})
	}
}

// requireParts compares the parts of all ports with those made from nothing.
func requireParts(t *testing.T, n *Node, m *control.Model) {
	t.Helper()
	s := n.engine.Snapshot()
	numbers, bound := map[int]bool{}, map[route.MAC]bool{}
	require.Len(t, n.ports, len(m.Ports))
	for i, p := range n.ports {
		require.Equal(t, m.Ports[i], p.config)
		own := *p
		own.parts = &portParts{limits: p.parts.limits}
		want := newPortParts(m, &own, zonesOf(m))
		require.Equal(t, want.limits, p.parts.limits)
		require.Equal(t, want.engine, p.parts.engine)
		require.Equal(t, want.route, p.parts.route)
		require.Equal(t, want.dhcp, p.parts.dhcp)
		require.Same(t, p.parts.engine, s.Ports[p.config.Number])
		numbers[int(p.config.Number)] = true
		for _, of := range p.config.Memberships {
			for _, a := range p.config.Addresses {
				bound[route.MAC{Zone: packet.Zone(m.Segments[of.Segment].Zone), MAC: packet.MAC(a.MAC), Port: p.config.Number, Static: true}] = true
			}
		}
	}
	for number, p := range s.Ports {
		require.Equal(t, numbers[number], p != nil)
	}
	is := map[route.MAC]bool{}
	for _, mac := range n.routes.MACs() {
		is[mac] = true
	}
	require.Equal(t, bound, is)
}

func requireDevices(t *testing.T, n *Node, devices *randomDevices) {
	t.Helper()
	used := map[*randomDevice]bool{}
	for _, p := range n.ports {
		if d, ok := p.device.(*randomDevice); ok {
			require.False(t, used[d], "a device is one port's")
			used[d] = true
		}
	}
	require.Equal(t, used, devices.open)
}

// randomDevices opens devices that change.
type randomDevices struct {
	r      *rand.Rand
	mu     sync.Mutex
	open   map[*randomDevice]bool
	all    []*randomDevice // also those that are closed
	refuse bool            // every third
}

type randomDevice struct {
	absent
	of   *randomDevices
	caps dataplane.Caps
	err  error
}

func (s *randomDevices) new(*packet.Arena, *control.Port) (dataplane.Port, error) {
	if s.refuse && s.r.IntN(3) == 0 {
		return nil, errors.New("no such device")
	}
	d := &randomDevice{of: s, caps: dataplane.Caps{Queues: 1, Up: true}}
	s.open[d] = true
	s.all = append(s.all, d)
	return d, nil
}

func (s *randomDevices) change() {
	for _, d := range s.all {
		switch s.r.IntN(6) {
		case 0:
			d.caps.MTU = 1000 + 100*s.r.IntN(3)
		case 1:
			d.caps.Up = !d.caps.Up
		case 2:
			d.err = errors.New("gone")
		}
	}
}

func (d *randomDevice) Caps() dataplane.Caps { return d.caps }
func (d *randomDevice) Err() error           { return d.err }

func (d *randomDevice) Close() error {
	d.of.mu.Lock() // devices are closed together
	defer d.of.mu.Unlock()
	delete(d.of.open, d)
	return nil
}

// randomModel returns a model of random objects, nil if they don't fit together. Ports that are as before are
// the same pointers; so are those whose segments only have other zones.
func randomModel(t *testing.T, r *rand.Rand, before *control.Model) *control.Model {
	var b strings.Builder
	object := func(kind, name, spec string) {
		fmt.Fprintf(&b, "---\napiVersion: sluice.dev/v1\nkind: %s\nmetadata: {name: %s}\nspec: {%s}\n", kind, name, spec)
	}
	choose := func(list ...string) string { return list[r.IntN(len(list))] }
	var segments []string
	for i := range 5 {
		if r.IntN(5) == 0 {
			continue
		}
		name := fmt.Sprint("s", i)
		segments = append(segments, name)
		object("Segment", name, fmt.Sprintf("vlan: %d, subnets: [{cidr: 10.0.%d.0/24}]%s", 10+i, i,
			choose("", "", "", ", mtu: 1400", ", dhcp: {enabled: true}", ", rateLimits: {rxBroadcast: 100, rxUnknownUnicast: 9}")))
	}
	if len(segments) == 0 {
		return nil
	}
	for i := range 8 {
		s := choose(segments...)
		device := choose("", "", fmt.Sprintf(", device: {type: tap, name: dev%d, queues: %d}", i%4, 1+r.IntN(2)))
		switch r.IntN(6) {
		case 0:
		case 1:
			object("Port", fmt.Sprint("p", i), "vlan: {mode: trunk"+choose("", ", trunks: ["+strings.Join(trunks(segments), ", ")+"]")+"}"+device)
		default:
			object("Port", fmt.Sprint("p", i), fmt.Sprintf("segment: %s, addresses: [{ip: 10.0.%s.%d}]%s%s", s, s[1:], 10+i, device, choose("", "", ", mtu: 1300")))
		}
	}
	if r.IntN(2) == 0 {
		object("Port", "up0", "mtu: "+choose("1500", "1450"))
		object("Port", "up1", "mtu: 1500")
		uplinks := []string{"{port: up0, addresses: [192.0.2.1/24]}", "{port: up1, addresses: [198.51.100.1/24]}"}
		r.Shuffle(2, func(i, j int) { uplinks[i], uplinks[j] = uplinks[j], uplinks[i] })
		object("Router", choose("default", "aaa"), "uplinks: ["+strings.Join(uplinks, ", ")+"]")
	}
	objects, faults := control.Decode("random.yaml", []byte(b.String()), control.Options{})
	require.Empty(t, faults)
	in := control.Input{Objects: objects}
	if before != nil && r.IntN(4) > 0 { // else zones and numbers are given anew
		in.Previous = &before.Allocations
	}
	m, faults := control.Compile(in)
	if len(faults) > 0 {
		return nil
	}
	if before != nil {
		for i, p := range m.Ports {
			for _, q := range before.Ports {
				if reflect.DeepEqual(p, q) {
					m.Ports[i] = q
				}
			}
		}
	}
	return m
}

func trunks(segments []string) (list []string) {
	for _, s := range segments {
		list = append(list, fmt.Sprintf("{vlan: 1%s}", s[1:]))
	}
	return list
}
