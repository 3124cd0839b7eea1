package daemon

import (
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-net/sluice/api"
	"github.com/sluice-net/sluice/control"
	"github.com/sluice-net/sluice/control/store"
	"github.com/sluice-net/sluice/dataplane"
	"github.com/sluice-net/sluice/internal/netdev"
	"github.com/sluice-net/sluice/internal/netdev/netnstest"
	"github.com/sluice-net/sluice/packet"
)

// uplink is the device by which the host is reached.
var uplink = netdev.Info{Name: "eth0", MAC: net.HardwareAddr{2, 0, 0, 0, 0, 1}, DefaultRoute: true}

func device(netNS, name string) *control.Device { return &control.Device{NetNS: netNS, Name: name} }

func testTakeovers(t *testing.T, s store.Store, named ...string) *takeovers {
	t.Helper()
	v, err := newTakeovers(named, time.Minute, s, slog.New(slog.DiscardHandler))
	require.NoError(t, err)
	return v
}

// at is a time in a test's seconds.
func at(second int) time.Time { return time.Unix(int64(1000+second), 0) }

func TestPermit(t *testing.T) {
	inUse := netdev.Info{MAC: net.HardwareAddr{2, 0, 0, 0, 0, 2}, Addresses: []netip.Prefix{netip.MustParsePrefix("192.0.2.7/24")}}
	for _, tt := range []struct {
		why    string
		named  []string
		device *control.Device
		info   netdev.Info
		want   string // of the error; empty: permitted
	}{
		{"nobody named it", nil, device("", "eth0"), uplink, "run with --takeover eth0"},
		{"the error says what it is used for", nil, device("", "eth0"), uplink, "the host's default route leaves by it"},
		{"another was named", []string{"eth1"}, device("", "eth0"), uplink, "--takeover eth0"},
		{"it was named", []string{"eth1", "eth0"}, device("", "eth0"), uplink, ""},
		{"one of that name in another namespace", []string{"eth0"}, device("blue", "eth0"), uplink, "--takeover blue/eth0"},
		{"one in a namespace, named", []string{"blue/eth0"}, device("blue", "eth0"), uplink, ""},
		{"the host's addresses count as well", nil, device("", "eth2"), inUse, "192.0.2.7/24"},
	} {
		v := testTakeovers(t, store.NewMemory(), tt.named...)
		err := v.permit(tt.device, &tt.info)
		if tt.want == "" {
			require.NoError(t, err, tt.why)
			continue
		}
		require.ErrorContains(t, err, tt.want, tt.why)
		require.Equal(t, err.Error(), v.permit(tt.device, &tt.info).Error(), "%s: the same each time", tt.why)
		require.Equal(t, api.TakeoverRefused, v.status()[0].State, tt.why)
	}
}

func TestTrialEndsUnconfirmed(t *testing.T) {
	s := store.NewMemory()
	v := testTakeovers(t, s, "eth0")
	d := device("", "eth0")
	require.NoError(t, v.permit(d, &uplink))
	require.Empty(t, v.expire(at(3600)), "the time does not run before the port has it")
	require.Error(t, v.confirm(at(3600)), "nor is there anything to confirm")
	v.opened(d, at(0))
	v.opened(device("", "eth1"), at(0)) // a device that nobody uses
	v.opened(d, at(30))                 // opened anew: the time goes on
	require.Equal(t, []api.TakeoverStatus{{Device: "eth0", State: api.TakeoverTrial, Reason: uplink.InUse(), Until: at(60)}}, v.status())
	require.Empty(t, v.expire(at(59)))
	require.NoError(t, v.permit(d, &uplink), "it may be opened anew meanwhile")
	require.ErrorIs(t, v.confirm(at(60)), api.ErrNotFound, "too late, also before the daemon noticed")
	require.Equal(t, []string{"eth0"}, v.expire(at(60)))
	require.Empty(t, v.expire(at(61)), "once")
	require.ErrorContains(t, v.permit(d, &uplink), "was given back")
	err := v.confirm(at(61))
	require.ErrorIs(t, err, api.ErrNotFound)
	require.ErrorContains(t, err, "too late for eth0")
	require.Equal(t, api.TakeoverGivenBack, v.status()[0].State)

	v = testTakeovers(t, s)
	require.ErrorContains(t, v.permit(d, &uplink), "--takeover eth0", "a restart begins anew")
}

func TestConfirmedTakeoverStays(t *testing.T) {
	s := store.NewMemory()
	v := testTakeovers(t, s, "eth0", "blue/eth0", "eth9")
	for _, ns := range []string{"", "blue"} {
		require.NoError(t, v.permit(device(ns, "eth0"), &uplink))
	}
	v.opened(device("", "eth0"), at(0))
	v.opened(device("blue", "eth0"), at(10))
	require.NoError(t, v.confirm(at(59)), "all that are on trial")
	require.Empty(t, v.expire(at(3600)))
	require.ErrorIs(t, v.confirm(at(3600)), api.ErrNotFound, "there is nothing more to confirm")

	v = testTakeovers(t, s) // a restart, without --takeover
	require.NoError(t, v.permit(device("", "eth0"), &uplink))
	require.NoError(t, v.permit(device("blue", "eth0"), &uplink))
	v.opened(device("", "eth0"), at(0))
	require.Empty(t, v.expire(at(3600)), "no trial")
	require.Equal(t, api.TakeoverConfirmed, v.status()[0].State)
	other := uplink
	other.MAC = net.HardwareAddr{2, 0, 0, 0, 0, 9}
	require.ErrorContains(t, v.permit(device("", "eth0"), &other), "--takeover eth0", "another device under the name")
}

func TestConfirmationIsNotGivenUnlessSaved(t *testing.T) {
	s := store.NewMemory()
	v := testTakeovers(t, s, "eth0")
	require.NoError(t, v.permit(device("", "eth0"), &uplink))
	v.opened(device("", "eth0"), at(0))
	require.NoError(t, s.Close())
	require.ErrorIs(t, v.confirm(at(1)), store.ErrClosed)
	require.Equal(t, api.TakeoverTrial, v.status()[0].State)
	require.Equal(t, []string{"eth0"}, v.expire(at(60)))
}

func TestConfirmationThatCantBeRead(t *testing.T) {
	s := store.NewMemory()
	_, err := s.Save(store.Change{Key: takeoverPrefix + "eth0", Value: []byte("?"), Was: store.Any})
	require.NoError(t, err)
	_, err = newTakeovers(nil, time.Minute, s, slog.New(slog.DiscardHandler))
	require.ErrorIs(t, err, store.ErrDamaged)
}

// TestDaemonGivesBack runs a daemon whose port a has a device of the host: it is
// down once the time is over, and stays so over a reload.
func TestDaemonGivesBack(t *testing.T) {
	path := write(t, t.TempDir()+"/s.yaml", segment+ports("a", "b"))
	var d *Daemon
	open := func(arena *packet.Arena, p *control.Port) (dataplane.Port, error) {
		permitted := d.trials.opening(func(arena *packet.Arena, p *control.Port) (dataplane.Port, error) {
			if p.Device.Name == "a" {
				if err := d.trials.permit(&p.Device, &uplink); err != nil {
					return nil, err
				}
			}
			return openMem(arena, p)
		})
		return permitted(arena, p)
	}
	ready := make(chan struct{})
	r := begin(t, Config{
		Paths: []string{path}, Takeover: []string{"a"}, TakeoverTimeout: time.Second,
		Open: func(arena *packet.Arena, p *control.Port) (dataplane.Port, error) {
			<-ready
			return open(arena, p)
		},
	})
	d = r.Daemon
	close(ready)
	r.until(func() bool { return r.Status().Ready }, "ready")
	require.Equal(t, 2, r.node.Status().Ports.Up)
	require.Equal(t, 1, r.lines("WARN", "ON TRIAL", "device=a", "sluice takeover confirm"))
	r.until(func() bool { return r.node.Status().Ports.Absent == 1 }, "it is given back")
	r.until(func() bool { return r.lines("ERROR", "IT WAS GIVEN BACK", "device=a") == 1 }, "loudly")
	require.Equal(t, 1, r.node.Status().Ports.Up, "the other port goes on")
	require.EqualValues(t, 1, r.node.Status().Revision)
	replaceFile(t, path, segment+ports("a", "b", "c"))
	r.until(func() bool { return r.ports() == "a b c" }, "reloaded")
	require.Equal(t, 1, r.node.Status().Ports.Absent)
	require.Equal(t, api.TakeoverGivenBack, source{r.node, r.Daemon}.Status().Takeovers[0].State)
	r.stop()
}

// TestTakeoverOfARealDevice does it with a device by which a namespace's default
// route leaves.
func TestTakeoverOfARealDevice(t *testing.T) {
	host, peer := netnstest.New(t), netnstest.New(t)
	netnstest.Veth(t, host, "up0", peer, "eth0", netnstest.VethOptions{})
	host.Addr("up0", "192.0.2.1/24")
	peer.Addr("eth0", "192.0.2.2/24")
	host.Route("0.0.0.0/0", "192.0.2.2")
	path := write(t, t.TempDir()+"/s.yaml", segment+fmt.Sprintf(
		"apiVersion: sluice.dev/v1\nkind: Port\nmetadata: {name: up}\nspec: {segment: web, device: {type: afpacket, name: up0, netns: %s}}\n", host.Name))
	state := t.TempDir()
	run := func(takeover ...string) *running {
		r := launch(t, Config{Paths: []string{path}, State: state, Takeover: takeover, TakeoverTimeout: 2 * time.Second})
		r.until(func() bool { return r.Status().Ready }, "ready")
		return r
	}
	key := host.Name + "/up0"

	r := run()
	require.Equal(t, 1, r.node.Status().Ports.Absent)
	require.NotZero(t, r.lines("the host's default route leaves by it", "--takeover "+key))
	r.stop()

	r = run(key)
	require.Equal(t, 1, r.node.Status().Ports.Up)
	r.until(func() bool { return r.node.Status().Ports.Absent == 1 }, "given back")
	host.Run("ping", "-c1", "-W5", "192.0.2.2")
	r.stop()

	r = run(key)
	require.NoError(t, source{r.node, r.Daemon}.ConfirmTakeover())
	r.stop()
	r = run()
	require.Equal(t, 1, r.node.Status().Ports.Up, "confirmed once for all")
	r.stop()
}
