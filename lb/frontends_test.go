package lb

import (
	"math/rand/v2"
	"net/netip"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluice-net/sluice/lb/service"
	"github.com/sluice-net/sluice/packet"
)

func addr(text string) packet.Addr { return packet.AddrFrom(netip.MustParseAddr(text)) }

// listening makes a server with frontends at runs of ports of one address.
func listening(scope uint32, ip string, proto uint8, runs ...[2]uint16) *server {
	s := &server{spec: &service.Server{}}
	for _, r := range runs {
		s.spec.Frontends = append(s.spec.Frontends, service.Frontend{Scope: scope, Address: addr(ip), Protocol: proto, First: r[0], Last: r[1]})
	}
	for i := range s.spec.Frontends {
		s.frontends = append(s.frontends, frontend{spec: &s.spec.Frontends[i], server: s})
	}
	return s
}

func TestFrontends(t *testing.T) {
	web := listening(1, "172.30.158.1", packet.ProtoTCP, [2]uint16{80, 80}, [2]uint16{443, 443})
	dns := listening(1, "172.30.158.1", packet.ProtoUDP, [2]uint16{53, 53})
	tenant := listening(2, "172.30.158.1", packet.ProtoTCP, [2]uint16{80, 80})
	media := listening(1, "172.30.158.1", packet.ProtoUDP, [2]uint16{8000, 8010}, [2]uint16{9000, 9999})
	voice := listening(1, "172.30.158.1", packet.ProtoUDP, [2]uint16{20000, 65535})
	all := listening(1, "fd00::1", packet.ProtoTCP, [2]uint16{0, 65535})
	table := newFrontends([]*server{web, dns, tenant, media, voice, all})
	for _, row := range []struct {
		why   string
		scope uint32
		ip    string
		proto uint8
		port  uint16
		want  *server
	}{
		{"an address and a port", 1, "172.30.158.1", packet.ProtoTCP, 80, web},
		{"the other port of the server", 1, "172.30.158.1", packet.ProtoTCP, 443, web},
		{"another address space", 2, "172.30.158.1", packet.ProtoTCP, 80, tenant},
		{"where nobody has the address", 3, "172.30.158.1", packet.ProtoTCP, 80, nil},
		{"another protocol with the same port", 1, "172.30.158.1", packet.ProtoUDP, 80, nil},
		{"a port beside runs", 1, "172.30.158.1", packet.ProtoUDP, 53, dns},
		{"the first of a run", 1, "172.30.158.1", packet.ProtoUDP, 8000, media},
		{"the last", 1, "172.30.158.1", packet.ProtoUDP, 8010, media},
		{"past it", 1, "172.30.158.1", packet.ProtoUDP, 8011, nil},
		{"the next run", 1, "172.30.158.1", packet.ProtoUDP, 9500, media},
		{"another server's run at the same address", 1, "172.30.158.1", packet.ProtoUDP, 65535, voice},
		{"a server of all ports", 1, "fd00::1", packet.ProtoTCP, 7, all},
		{"and port 0 is one", 1, "fd00::1", packet.ProtoTCP, 0, all},
		{"which at other addresses is none", 1, "172.30.158.1", packet.ProtoTCP, 0, nil},
		{"another address", 1, "172.30.158.2", packet.ProtoTCP, 80, nil},
	} {
		k := packet.Key{Dst: addr(row.ip), Tail: packet.MakeTail(9, row.proto, 40000, row.port)}
		f := table.find(row.scope, &k)
		if row.want == nil {
			require.Nil(t, f, row.why)
			continue
		}
		require.NotNil(t, f, row.why)
		require.Same(t, row.want, f.server, row.why)
	}
	empty := newFrontends(nil)
	require.Nil(t, empty.find(1, &packet.Key{}))
}

// TestFrontendsAreAMap: random addresses, ports and spaces, few of each so that they meet.
func TestFrontendsAreAMap(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	type at struct {
		scope uint32
		ip    packet.Addr
		proto uint8
		port  uint16
	}
	random := func() at {
		b := [4]byte{172, 30, byte(r.IntN(4)), byte(r.IntN(64))}
		return at{uint32(1 + r.IntN(3)), packet.AddrFrom4(&b), []uint8{packet.ProtoTCP, packet.ProtoUDP}[r.IntN(2)], uint16(1 + r.IntN(8))}
	}
	for range 20 {
		want := map[at]*server{}
		var servers []*server
		for range r.IntN(2000) {
			x := random()
			if want[x] == nil {
				want[x] = listening(x.scope, x.ip.String(), x.proto, [2]uint16{x.port, x.port})
				servers = append(servers, want[x])
			}
		}
		table := newFrontends(servers)
		for range 5000 {
			x := random()
			k := packet.Key{Dst: x.ip, Tail: packet.MakeTail(3, x.proto, 1, x.port)}
			f := table.find(x.scope, &k)
			require.Equal(t, want[x] == nil, f == nil)
			if f != nil {
				require.Same(t, want[x], f.server)
			}
		}
	}
}

func TestDirectory(t *testing.T) {
	var x directory[int]
	require.Nil(t, x.get(0))
	require.Nil(t, x.get(service.MaxID))
	require.Nil(t, x.get(service.MaxID+1), "beyond what there may be")
	a, b := 1, 2
	x.set(5, &a)
	x.set(service.MaxID, &b)
	require.Same(t, &a, x.get(5))
	require.Same(t, &b, x.get(service.MaxID))
	require.Nil(t, x.get(4))
	x.set(5, nil)
	require.Nil(t, x.get(5))
}
