package replay_test

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluice-net/sluice/export"
	"github.com/sluice-net/sluice/internal/frametext"
	"github.com/sluice-net/sluice/internal/sharedtest"
	"github.com/sluice-net/sluice/node/replay"
	"github.com/sluice-net/sluice/packet"
	"github.com/sluice-net/sluice/port/pcap"
)

// frontage is an address, protocol and port that packets of a capture go to.
type frontage struct {
	addr  netip.Addr
	proto uint8
	port  uint16
}

// busiest returns the frontages that most connections of a capture are with, at most n: those become virtual servers.
func busiest(t *testing.T, file string, n int) []frontage {
	count, known := map[frontage]int{}, map[packet.Key]bool{}
	eachFrame(t, file, func(f *pcap.Frame, in *packet.Info) {
		if !in.Has(packet.IsIPv4) || !in.Has(packet.HasPorts) || in.Has(packet.HasVLAN) || !slices.Contains([]uint8{packet.ProtoTCP, packet.ProtoUDP}, in.Proto) {
			return
		}
		to := frontage{in.Key.Dst.Netip(), in.Proto, in.Key.DstPort()}
		if a := to.addr; !a.IsMulticast() && !a.IsLoopback() && !a.IsUnspecified() && a.IsGlobalUnicast() && to.port != 0 && !slices.Contains(routers, a.String()) && !known[in.Key] {
			known[in.Key] = true
			count[to]++
		}
	})
	all := slices.Collect(maps.Keys(count))
	slices.SortFunc(all, func(a, b frontage) int {
		return cmp.Or(cmp.Compare(count[b], count[a]), a.addr.Compare(b.addr), cmp.Compare(a.proto, b.proto), cmp.Compare(a.port, b.port))
	})
	return all[:min(n, len(all))]
}

// routers are addresses of the site's own.
var routers = []string{"10.0.0.1", "192.168.0.1", "203.0.113.1", "10.99.0.1", "10.98.0.1"}

// eachFrame calls do for the frames of a capture, as far as it can be read.
func eachFrame(t *testing.T, file string, do func(*pcap.Frame, *packet.Info)) {
	r, err := pcap.Open(file)
	if err != nil {
		return // refused when it is replayed, too
	}
	defer func() { require.NoError(t, r.Close()) }()
	var f pcap.Frame
	for {
		if err := r.Next(&f); err != nil {
			return
		}
		var in packet.Info
		packet.Parse(f.Data, &in)
		do(&f, &in)
	}
}

// member is the address that a virtual server's member i has, all of them at port left/b.
func member(i int) netip.Addr { return netip.AddrFrom4([4]byte{10, 99, 1, byte(i)}) }

// serving is a site with virtual servers at frontages, of two members each, and NAT rules around. The first
// member of each answers in the capture that served makes. What comes from outside for the addresses of forwarded goes to
// members, too, by a NAT rule.
func serving(fronts, forwarded []frontage, outside bool) string {
	var b strings.Builder
	site := site
	if outside { // nobody else is inside
		site = strings.NewReplacer("10.0.0.0/8", "10.99.0.0/16", "192.168.0.0/16", "10.98.0.0/16").Replace(site)
	}
	b.WriteString(strings.Replace(site, "metadata: {name: b, namespace: left}\nspec: {segment: left}",
		"metadata: {name: b, namespace: left}\nspec: {segment: left, guard: false, addresses: [ADDRESSES]}", 1))
	var addresses []string
	algorithms := []string{"ROUND_ROBIN", "WEIGHTED_LEAST_CONNECTION", "MAGLEV", "IP_HASH"}
	for i, f := range fronts {
		proto := "TCP"
		if f.proto == packet.ProtoUDP {
			proto = "UDP"
		}
		more := ""
		if i%3 == 1 {
			more = ", persistence: {type: SOURCE_IP}"
		}
		fmt.Fprintf(&b, "---\n{apiVersion: sluice.dev/v1, kind: VirtualServer, metadata: {name: vs%d}, spec: {addresses: [%s], protocol: %s, ports: ['%d'], pool: p%d, allowSharedAddress: all%s}}\n",
			i, f.addr, proto, f.port, i, more)
		snat := ""
		if i%4 == 2 {
			snat = ", snatTranslation: {type: AUTOMAP}"
		}
		fmt.Fprintf(&b, "---\n{apiVersion: sluice.dev/v1, kind: Pool, metadata: {name: p%d}, spec: {algorithm: %s%s, members: [{address: %s, port: 8080}, {address: %s, port: 8081, weight: 2}]}}\n",
			i, algorithms[i%len(algorithms)], snat, member(2*i), member(2*i+1))
		for j := range 2 {
			addresses = append(addresses, fmt.Sprintf("{ip: %s}", member(2*i+j)))
		}
	}
	b.WriteString(`---
{apiVersion: sluice.dev/v1, kind: IPPool, metadata: {name: out}, spec: {usage: snat, ranges: [{start: 203.0.113.100, end: 203.0.113.101}]}}
---
{apiVersion: sluice.dev/v1, kind: NATRule, metadata: {name: one}, spec: {action: REFLEXIVE, sourceNetworks: [10.0.2.0/24], translatedNetwork: 203.0.113.0/24, priority: 10, firewallMatch: MATCH_EXTERNAL_ADDRESS}}
---
{apiVersion: sluice.dev/v1, kind: NATRule, metadata: {name: out}, spec: {action: SNAT, sourceNetworks: [0.0.0.0/0], translatedPool: out, priority: 20}}
`)
	for i, f := range forwarded {
		fmt.Fprintf(&b, "---\n{apiVersion: sluice.dev/v1, kind: NATRule, metadata: {name: in%d}, spec: {action: DNAT, destinationNetworks: [%s/32], translatedNetwork: 10.99.1.0/30, priority: 30, firewallMatch: BYPASS}}\n", i, f.addr)
	}
	return strings.Replace(b.String(), "ADDRESSES", strings.Join(addresses, ", "), 1)
}

// uplinkMAC is that of 203.0.113.1.
var uplinkMAC = packet.HostMAC(packet.AddrFrom(netip.MustParseAddr("203.0.113.1")))

// served makes three captures of one: what clients send, to the router whoever they have sent it to, and what the first members
// of the virtual servers answer, which in the capture the virtual servers do; and a word of the uplink's gateway.
func served(t *testing.T, file string, fronts []frontage, mac packet.MAC) (clients, members, hello string) {
	dir := t.TempDir()
	out := [3]*pcap.Writer{}
	names := [3]string{filepath.Join(dir, "clients.pcap"), filepath.Join(dir, "members.pcap"), filepath.Join(dir, "hello.pcap")}
	for i := range out {
		var err error
		out[i], err = pcap.Create(names[i])
		require.NoError(t, err)
	}
	begun := false
	eachFrame(t, file, func(f *pcap.Frame, in *packet.Info) {
		if !begun {
			begun = true
			hello, err := frametext.Parse("arp 203.0.113.254 who-has 203.0.113.1")
			require.NoError(t, err)
			require.NoError(t, out[2].Write(f.Time, hello, len(hello)))
		}
		frame, which := bytes.Clone(f.Data), 0
		if in.Has(packet.IsIP) && !in.Has(packet.ToMulticast) {
			copy(frame, mac[:])
		}
		if in.Has(packet.HasPorts) && in.Has(packet.IsIPv4) && !in.Has(packet.HasVLAN|packet.ICMPError) {
			if i := slices.Index(fronts, frontage{in.Key.Src.Netip(), in.Proto, in.Key.SrcPort()}); i >= 0 {
				which = 1
				own := member(2 * i)
				address, hardware := own.As4(), packet.HostMAC(packet.AddrFrom(own))
				copy(frame[6:], hardware[:])
				if mac == uplinkMAC {
					copy(frame, packet.GatewayMAC[:])
				} else {
					copy(frame, f.Data[:6]) // the client is on the member's segment
				}
				copy(frame[in.L3+12:], address[:])
				copy(frame[in.L4:], []byte{8080 >> 8, 8080 & 0xff})
				ip := frame[in.L3:in.L4]
				ip[10], ip[11] = 0, 0
				sum := packet.Checksum(ip)
				ip[10], ip[11] = byte(sum>>8), byte(sum)
				packet.SetTransport(frame, int(in.L3), int(in.L4), int(in.IPLen), in.Proto)
			}
		}
		require.NoError(t, out[which].Write(f.Time, frame, f.OrigLen))
	})
	for _, w := range out {
		require.NoError(t, w.Close())
	}
	return names[0], names[1], names[2]
}

// flowsOf reads flows.jsonl.
func flowsOf(t *testing.T, dir string) (all []export.Flow) {
	text, err := os.ReadFile(filepath.Join(dir, "flows.jsonl"))
	require.NoError(t, err)
	for line := range strings.Lines(string(text)) {
		var f export.Flow
		require.NoError(t, json.Unmarshal([]byte(line), &f), line)
		all = append(all, f)
	}
	return all
}

// replayServed replays what served has made of a capture, with several numbers of workers and the first of them twice, and
// returns the folder of one result; empty if the capture can't be replayed. Clients are inside or, on the uplink, outside.
func replayServed(t *testing.T, file string, outside bool, workers ...int) (dir string, report *replay.Report) {
	fronts := busiest(t, file, 12)
	few := min(8, len(fronts))
	fronts, forwarded := fronts[:few], fronts[few:]
	port, mac := "left/a", packet.GatewayMAC
	if outside {
		port, mac = "uplink", uplinkMAC
	}
	clients, members, hello := served(t, file, fronts, mac)
	m := model(t, serving(fronts, forwarded, outside))
	first := ""
	for _, n := range append(workers, workers[0]) {
		out := t.TempDir()
		r, err := replay.Run(context.Background(), replay.Config{
			Model: m, Inputs: []replay.Input{{Port: port, File: clients}, {Port: "left/b", File: members}, {Port: "uplink", File: hello}}, Out: out, Workers: n, Seed: 1,
		})
		if r == nil && errors.Is(err, replay.ErrInput) {
			return "", nil
		}
		require.NoError(t, err, file)
		require.Zero(t, r.Ledger.Unexplained, "%s: %+v", file, r.Ledger)
		require.Zero(t, r.Ledger.Queued, "%s: %+v", file, r.Ledger)
		require.Zero(t, r.Crashes, file)
		for name, p := range r.Ports {
			require.Zero(t, p.Ledger.Unexplained, "%s: port %s: %+v", file, name, p.Ledger)
		}
		d := digest(t, out)
		if first == "" {
			first, dir, report = d, out, r
		}
		require.Equal(t, first, d, "%s with %d workers", file, n)
	}
	return dir, report
}

// Services at the addresses that clients of real captures talk to: results are the same bytes for every number of workers,
// clients reach members and hear from who they have asked, and flows say who it was and why.
func TestServicesInRealTraffic(t *testing.T) {
	mix := sharedtest.Path(t, "captures", "mix.pcap")
	workers := []int{1, 2, 4}
	if testing.Short() {
		workers = []int{1, 3}
	}
	for _, outside := range []bool{false, true} {
		dir, _ := replayServed(t, mix, outside, workers...)
		whys, sources, answered := map[string]int{}, map[string]int{}, 0
		for _, f := range flowsOf(t, dir) {
			if f.NAT != nil {
				sources[f.NAT.Source]++
				sources[strings.TrimRight(f.NAT.Destination, "0123")]++
			}
			if f.Service == nil {
				continue
			}
			require.Regexp(t, `^vs[0-7]$`, f.Service.Name)
			require.NotNil(t, f.VIP, "%+v", f)
			require.Equal(t, f.IP.Destination, f.VIP.Address)
			require.Equal(t, "TRANSLATED", f.Verdict)
			require.NotNil(t, f.Member)
			require.Equal(t, f.Translated.Destination, f.Member.Address)
			require.Contains(t, []uint16{8080, 8081}, f.Member.Port)
			whys[f.Member.Why]++
			if f.Packets.Reply > 0 {
				answered++
			}
		}
		t.Logf("outside %t: members chosen by %v, NAT by %v, answered %d", outside, whys, sources, answered)
		for _, why := range []string{"ROUND_ROBIN", "WEIGHTED_LEAST_CONNECTION", "MAGLEV", "IP_HASH", "AFFINITY"} {
			require.Positive(t, whys[why], "a session whose member was chosen by %s", why)
		}
		require.Greater(t, answered, 10)
		if outside {
			require.Positive(t, sources["in"])
		} else {
			require.Positive(t, sources["automap left"])
			require.Positive(t, sources["out"])
		}
	}
}

// Whatever a capture holds: nothing crashes, the books balance and the results are always the same.
func TestServicesInHostileTraffic(t *testing.T) {
	var files []string
	for _, folder := range []string{"hostile", "real/malformed", "real/frag", "real/sctp", "real/scan"} {
		found, err := filepath.Glob(filepath.Join(sharedtest.Path(t, "captures"), folder, "*"))
		require.NoError(t, err)
		files = append(files, found...)
	}
	require.Greater(t, len(files), 100)
	if testing.Short() {
		files = slices.Collect(func(yield func(string) bool) {
			for i := 0; i < len(files) && yield(files[i]); i += 25 {
			}
		})
	}
	replayed, toServices := 0, 0
	for i, file := range files {
		dir, report := replayServed(t, file, i%2 == 1, 1, 2)
		if report == nil {
			continue
		}
		replayed++
		for _, f := range flowsOf(t, dir) {
			if f.Service != nil {
				toServices++
			}
		}
	}
	t.Logf("%d of %d captures replayed, %d sessions with services", replayed, len(files), toServices)
	require.Greater(t, replayed, len(files)/2)
	require.Greater(t, toServices, replayed/20)
}

// Who has dropped what was for a virtual server is told with its name.
func TestDropsNameServices(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "a.pcap")
	w, err := pcap.Create(path)
	require.NoError(t, err)
	for _, line := range []string{
		"udp 10.0.0.1:1 > 172.30.0.9:53 eth 0a:58:0a:00:00:01 > 02:50:56:56:44:52",
		"udp 10.0.0.1:1 > 172.30.0.9:54 eth 0a:58:0a:00:00:01 > 02:50:56:56:44:52",
	} {
		f, err := frametext.Parse(line)
		require.NoError(t, err)
		require.NoError(t, w.Write(1e9, f, len(f)))
	}
	require.NoError(t, w.Close())
	_, err = replay.Run(context.Background(), replay.Config{
		Model: model(t, site+`---
{apiVersion: v1, kind: Service, metadata: {name: dns, namespace: web}, spec: {clusterIP: 172.30.0.9, ports: [{name: d, port: 53, protocol: UDP}]}}
`), Inputs: []replay.Input{{Port: "left/a", File: path}}, Out: dir, Workers: 1,
	})
	require.NoError(t, err)
	text, err := os.ReadFile(filepath.Join(dir, "drops.jsonl"))
	require.NoError(t, err)
	lines := strings.Split(strings.TrimSpace(string(text)), "\n")
	require.Len(t, lines, 2)
	require.Contains(t, lines[0], `"reason":"SERVICE_BACKEND_NOT_FOUND"`)
	require.Contains(t, lines[0], `"dport":53,"service":"web/dns:d"}`)
	require.NotContains(t, lines[1], `"service"`, "nobody listens there")
}
