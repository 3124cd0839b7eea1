package netdev_test

import (
	"context"
	"fmt"
	"net/netip"
	"runtime"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-net/sluice/internal/netdev"
	"github.com/sluice-net/sluice/internal/netdev/netnstest"
)

// For what happens soon, but not at once.
const (
	waitLimit = 20 * time.Second
	pollEvery = 5 * time.Millisecond
)

// watched is a watcher that has told of lo.
type watched struct {
	t      *testing.T
	events chan netdev.Event
	cancel context.CancelFunc
	ended  chan error
}

func watch(t *testing.T, ns string) *watched {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	w := &watched{t, make(chan netdev.Event, 1000), cancel, make(chan error, 1)}
	go func() { w.ended <- netdev.Watch(ctx, ns, func(e netdev.Event) { w.events <- e }) }()
	t.Cleanup(w.stop)
	w.next("added lo")
	return w
}

func (w *watched) stop() {
	w.cancel()
	select {
	case err := <-w.ended:
		require.NoError(w.t, err)
		w.ended <- nil
	case <-time.After(waitLimit):
		w.t.Fatal("the watcher goes on")
	}
}

// next waits until an event reads as wanted; those before it are passed over,
// since the kernel tells of a state by more than one message.
func (w *watched) next(want string) netdev.Event {
	w.t.Helper()
	deadline := time.After(waitLimit)
	var seen []string
	for {
		select {
		case e := <-w.events:
			seen = append(seen, describe(e))
			if describe(e) == want {
				return e
			}
		case err := <-w.ended:
			w.t.Fatalf("it ended: %v; want %s, seen %q", err, want, seen)
		case <-deadline:
			w.t.Fatalf("want %s, seen %q", want, seen)
		}
	}
}

func describe(e netdev.Event) string {
	s := e.Kind.String() + " " + e.Is.Name
	if e.Kind != netdev.Changed {
		return s
	}
	if e.Is.Name != e.Was.Name {
		s += " was " + e.Was.Name
	}
	if e.Is.MTU != e.Was.MTU {
		s += fmt.Sprintf(" mtu %d>%d", e.Was.MTU, e.Is.MTU)
	}
	if e.Is.Up != e.Was.Up {
		s += fmt.Sprintf(" up %t", e.Is.Up)
	}
	if e.Is.Carrier != e.Was.Carrier {
		s += fmt.Sprintf(" carrier %t", e.Is.Carrier)
	}
	return s
}

func TestWatch(t *testing.T) {
	a, b := netnstest.New(t), netnstest.New(t)
	w := watch(t, a.Name)
	netnstest.Veth(t, a, "x", b, "y", netnstest.VethOptions{Down: true})
	e := w.next("added x")
	require.Equal(t, "veth", e.Is.Kind)
	require.Equal(t, 1500, e.Is.MTU)
	a.MTU("x", 1400)
	w.next("changed x mtu 1500>1400")
	a.Up("x")
	w.next("changed x up true")
	b.Up("y")
	w.next("changed x carrier true")
	b.Down("y")
	w.next("changed x carrier false")
	a.Run("ip", "link", "set", "x", "down")
	w.next("changed x up false")
	require.NoError(t, netdev.Rename(a.Name, "x", "z"))
	w.next("changed z was x")
	require.NoError(t, netdev.Move(a.Name, "z", b.Name))
	w.next("removed z")
	require.NoError(t, netdev.Move(b.Name, "z", a.Name))
	w.next("added z")
	b.Delete("y")
	w.next("removed z")
	w.stop()
	require.Empty(t, w.events)
}

// An address on a device, or a bridge's word about its ports, is no event.
func TestWatchPassesOver(t *testing.T) {
	a := netnstest.New(t)
	netnstest.Veth(t, a, "x", a, "y", netnstest.VethOptions{})
	a.Run("ip", "link", "add", "br0", "up", "type", "bridge")
	a.Run("ip", "link", "set", "x", "master", "br0")
	w := watch(t, a.Name)
	w.next("added br0")
	a.Run("ip", "link", "set", "x", "nomaster")
	require.NoError(t, netdev.AddAddress(a.Name, "x", netip.MustParsePrefix("10.0.0.1/24")))
	a.Run("ip", "link", "set", "y", "alias", "something")
	a.MTU("y", 1300)
	select {
	case e := <-w.events:
		for describe(e) == "changed br0 carrier false" || describe(e) == "changed br0 carrier true" {
			e = <-w.events // it has lost its port
		}
		require.Equal(t, "changed y mtu 1500>1300", describe(e))
	case <-time.After(waitLimit):
		t.Fatal("no event")
	}
}

// The kernel drops messages when nobody reads. What was missed is found out.
func TestWatchAfterLostMessages(t *testing.T) {
	a := netnstest.New(t)
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	started, goOn := make(chan struct{}), make(chan struct{})
	events := make(chan netdev.Event, 100000)
	ended := make(chan error, 1)
	first := true
	go func() {
		ended <- netdev.Watch(ctx, a.Name, func(e netdev.Event) {
			if first {
				first = false
				close(started)
				<-goOn
			}
			events <- e
		})
	}()
	<-started
	netnstest.Veth(t, a, "early", a, "early1", netnstest.VethOptions{})
	// Each change is a message of over 1 KB, and the buffer holds about 200 KB.
	for i := range 400 {
		a.MTU("early", 1000+i%2)
	}
	a.Delete("early")
	netnstest.Veth(t, a, "late", a, "late1", netnstest.VethOptions{})
	a.MTU("late", 1234)
	close(goOn)
	var names []string
	known := map[int]netdev.Info{}
	for deadline := time.After(waitLimit); ; {
		select {
		case e := <-events:
			names = append(names, describe(e))
			if e.Kind == netdev.Removed {
				delete(known, e.Is.Index)
			} else {
				known[e.Is.Index] = e.Is
			}
		case err := <-ended:
			t.Fatalf("it ended: %v", err)
		case <-deadline:
			t.Fatalf("the events do not lead to what is: %v of %d", known, len(names))
		}
		now := map[string]int{}
		for _, i := range known {
			now[i.Name] = i.MTU
		}
		if len(now) == 3 && now["late"] == 1234 && now["late1"] == 1500 {
			break
		}
	}
	require.Less(t, len(names), 400, "messages were lost indeed")
	a.Delete("late")
	require.Eventually(t, func() bool {
		select {
		case e := <-events:
			return describe(e) == "removed late" || describe(e) == "removed late1"
		default:
			return false
		}
	}, waitLimit, pollEvery, "it goes on after it")
	cancel()
	require.NoError(t, <-ended)
}

func TestWatchersLeaveNothingBehind(t *testing.T) {
	a := netnstest.New(t)
	round := func(n int) {
		ctx, cancel := context.WithCancel(context.Background())
		ended := make(chan error, 2*n)
		told := make(chan struct{}, 100*n)
		for range n {
			go func() { ended <- netdev.Watch(ctx, a.Name, func(netdev.Event) { told <- struct{}{} }) }()
		}
		for range n {
			<-told
		}
		cancel()
		for range n {
			require.NoError(t, <-ended)
		}
	}
	round(3)
	goroutines, descriptors := runtime.NumGoroutine(), open(t)
	round(100)
	for deadline := time.Now().Add(waitLimit); runtime.NumGoroutine() > goroutines || open(t) > descriptors; time.Sleep(pollEvery) {
		require.True(t, time.Now().Before(deadline), "%d goroutines of %d, %d descriptors of %d", runtime.NumGoroutine(), goroutines, open(t), descriptors)
	}
}

func TestWatchWithoutNamespace(t *testing.T) {
	err := netdev.Watch(context.Background(), "sl-never-made", nil)
	require.ErrorIs(t, err, netdev.ErrNoNamespace)
	require.ErrorContains(t, err, "watch devices: ")
}

// A watcher that is ended from its own function ends.
func TestWatchEndedWithin(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	n := 0
	require.NoError(t, netdev.Watch(ctx, "", func(netdev.Event) { cancel(); n++ }))
	require.Equal(t, 1, n)
	require.NoError(t, netdev.Watch(ctx, "", func(netdev.Event) { n++ }), "a context that has ended")
	require.Equal(t, 1, n)
}

func TestWatchNamespaces(t *testing.T) {
	own := netnstest.New(t)
	ctx, cancel := context.WithCancel(context.Background())
	type state struct{ is, usable bool }
	name := own.Name + "w"
	calls := make(chan state, 1000)
	ended := make(chan error, 1)
	go func() {
		ended <- netdev.WatchNamespaces(ctx, func() {
			_, err := netdev.Sysctl(name, "net.ipv4.ip_forward")
			names, _ := netdev.ListNamespaces()
			calls <- state{contains(names, name), err == nil}
		})
	}()
	wait := func(want state) {
		t.Helper()
		for deadline := time.After(waitLimit); ; {
			select {
			case s := <-calls:
				if s == want {
					return
				}
			case <-deadline:
				t.Fatalf("want %+v", want)
			}
		}
	}
	wait(state{})
	for range 3 {
		require.NoError(t, netdev.AddNamespace(name))
		wait(state{true, true})
		require.NoError(t, netdev.DeleteNamespace(name))
		wait(state{})
	}
	cancel()
	require.NoError(t, <-ended)
}

func contains(names []string, name string) bool {
	for _, n := range names {
		if n == name {
			return true
		}
	}
	return false
}
