package policy

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluice-net/sluice/api"
	"github.com/sluice-net/sluice/control"
	"github.com/sluice-net/sluice/firewall"
	"github.com/sluice-net/sluice/firewall/classify"
	"github.com/sluice-net/sluice/firewall/policy"
	"github.com/sluice-net/sluice/packet"
)

// shown is an answer in a line: VERDICT; what each end says; notes.
func shown(a *api.PolicyAnswer) string {
	point := func(p *api.PolicyPoint) string {
		text := string(p.Verdict)
		if p.Jump != nil {
			text += fmt.Sprintf(" jump %d", p.Jump.ID)
		}
		if p.Ethernet != nil {
			text += fmt.Sprintf(" frame %d", p.Ethernet.ID)
		}
		if p.Rule != nil {
			text += fmt.Sprintf(" %d %s", p.Rule.ID, p.Rule.Name)
		}
		if p.Filtered != (p.Reason == "") {
			text += " (contradicts itself)"
		}
		if p.Reason != "" {
			text += " (" + p.Reason + ")"
		}
		return text
	}
	return fmt.Sprintf("%s; out %s; in %s", a.Verdict, point(&a.Egress), point(&a.Ingress))
}

func TestEvaluate(t *testing.T) {
	e := siteEvaluator(t)
	typ, code := uint8(3), uint8(1)
	for _, row := range []struct {
		why  string
		q    api.PolicyQuery
		want string
		note string
	}{
		{
			"the default rule at the sender, a rule of a NetworkPolicy at the receiver",
			api.PolicyQuery{From: "shop/other", To: "shop/web", Protocol: "tcp", Port: 80},
			"ALLOW; out ALLOW 2 default; in ALLOW frame 1001 1030 ingress[0]", "",
		},
		{
			"addresses are those of ports",
			api.PolicyQuery{From: "10.0.1.11", To: "10.0.2.20:5432", Protocol: "TCP"},
			"DROP; out ALLOW 2 default; in DROP 1051 isolation.ingress", "",
		},
		{
			"a source by label",
			api.PolicyQuery{From: "shop/web", To: "shop/db:5432", Protocol: "6"},
			"ALLOW; out ALLOW frame 1001 2 default; in ALLOW 1031 ingress[1]", "",
		},
		{
			"an earlier category decides at both ends; the sender's is the verdict",
			api.PolicyQuery{From: "shop/web", To: "shop/db", Protocol: "tcp", Port: 23},
			"REJECT; out REJECT frame 1001 1010 telnet; in REJECT 1010 telnet", "",
		},
		{
			"somebody outside is not filtered where it comes in, and jumps to the rules of the application",
			api.PolicyQuery{From: "192.0.2.70", To: "shop/web", Protocol: "tcp", Port: 22},
			"ALLOW; out ALLOW (the sender is none of the switch's ports); in ALLOW jump 1020 frame 1001 1030 ingress[0]", "",
		},
		{
			"others do not jump",
			api.PolicyQuery{From: "192.0.2.7:1024", To: "shop/web", Protocol: "tcp", Port: 22},
			"DROP; out ALLOW (the sender is none of the switch's ports); in DROP frame 1001 1021 nobody-ssh", "",
		},
		{
			"the uplink, named with somebody's address behind it",
			api.PolicyQuery{From: "uplink@192.0.2.7", To: "shop/web", Protocol: "tcp", Port: 80},
			"ALLOW; out ALLOW (uplinks are not filtered); in ALLOW frame 1001 1030 ingress[0]", "",
		},
		{
			"to the world",
			api.PolicyQuery{From: "shop/db", To: "198.51.100.1:443", Protocol: "tcp"},
			"ALLOW; out ALLOW 2 default; in ALLOW (the receiver is none of the switch's ports)", "",
		},
		{
			"the exclusion list",
			api.PolicyQuery{From: "free", To: "shop/other", Protocol: "tcp", Port: 23},
			"REJECT; out ALLOW (the port is on the exclusion list); in REJECT 1010 telnet", "",
		},
		{
			"a frame that a rule of category Ethernet drops is no matter for others",
			api.PolicyQuery{From: "shop/six", To: "shop/web", Protocol: "tcp", Port: 80},
			"DROP; out ALLOW 2 default; in DROP 1000 no-v6-to-web", "",
		},
		{
			"ping goes by the type of an echo request, of whichever IP version, and is not tracked",
			api.PolicyQuery{From: "shop/other", To: "shop/db", Protocol: "icmp"},
			"ALLOW; out ALLOW 1040 echo; in ALLOW 1040 echo", "rule 1040 keeps no state: replies need rules of their own",
		},
		{
			"over IPv6, too",
			api.PolicyQuery{From: "shop/six", To: "shop/db", Protocol: "icmp"},
			"ALLOW; out ALLOW 1040 echo; in ALLOW 1040 echo", "",
		},
		{
			"other types of ICMP are other services",
			api.PolicyQuery{From: "shop/other", To: "shop/db", Protocol: "icmp", ICMPType: &typ, ICMPCode: &code},
			"DROP; out ALLOW 2 default; in DROP 1051 isolation.ingress", "",
		},
		{
			"neighbor discovery is not for rules",
			api.PolicyQuery{From: "shop/six", To: "shop/db", Protocol: "icmpv6", ICMPType: new(uint8(135))},
			"ALLOW; out ALLOW (neighbor discovery, MLD and IGMP are not for rules, but for the segment's security settings); " +
				"in ALLOW (neighbor discovery, MLD and IGMP are not for rules, but for the segment's security settings)", "",
		},
		{
			"a protocol without ports",
			api.PolicyQuery{From: "shop/other", To: "shop/db", Protocol: "gre"},
			"DROP; out ALLOW 2 default; in DROP 1051 isolation.ingress", "",
		},
		{
			"addresses of a segment without a router are its own",
			api.PolicyQuery{From: "twin", To: "10.0.1.10", Protocol: "udp", Port: 53},
			"ALLOW; out ALLOW 2 default; in ALLOW (the packet goes back by the port that it came in by)",
			"both ends are at port twin: the switch sees only what is sent out of it",
		},
		{
			"nobody comes from there to elsewhere",
			api.PolicyQuery{From: "twin", To: "shop/other", Protocol: "udp", Port: 53},
			"ALLOW; out ALLOW 2 default; in ALLOW 2 default", "no router connects twin and shop/other: whatever rules say, there is no way",
		},
		{
			"an address that nobody has",
			api.PolicyQuery{From: "shop/web", To: "10.0.2.99", Protocol: "udp", Port: 53},
			"ALLOW; out ALLOW frame 1001 2 default; in ALLOW (the receiver is none of the switch's ports)",
			"10.0.2.99 is in a subnet of segment db, and no port has it",
		},
		{
			"an address of two ports, of which one can reach the other end",
			api.PolicyQuery{From: "10.0.1.10", To: "10.0.2.20", Protocol: "tcp", Port: 5432},
			"ALLOW; out ALLOW frame 1001 2 default; in ALLOW 1031 ingress[1]", "",
		},
		{
			"a host behind a trunk",
			api.PolicyQuery{From: "trunk@10.0.1.77", To: "shop/web@10.0.1.10", Protocol: "tcp", Port: 81},
			"DROP; out ALLOW 2 default; in DROP frame 1001 1050 isolation.ingress", "",
		},
	} {
		t.Run(row.why, func(t *testing.T) {
			a, err := e.Evaluate(&row.q)
			require.NoError(t, err)
			require.Equal(t, row.want, shown(a))
			if row.note != "" {
				require.Contains(t, a.Notes, row.note)
			}
			require.EqualValues(t, 7, a.Revision)
			require.Empty(t, a.Egress.Near)
			require.Empty(t, a.Ingress.Near)
		})
	}
}

func TestEvaluateRefuses(t *testing.T) {
	e := siteEvaluator(t)
	for _, row := range []struct {
		why  string
		q    api.PolicyQuery
		kind error
		want string
	}{
		{"nobody", api.PolicyQuery{To: "shop/web", Protocol: "tcp", Port: 80}, api.ErrInvalid, "from whom? Want a port's name or an address, such as shop/web-1 or 10.0.1.10:80"},
		{"a name that is nearly one", api.PolicyQuery{From: "shop/wep", To: "shop/web", Protocol: "tcp", Port: 80}, api.ErrNotFound, "there is no port shop/wep; did you mean shop/web?"},
		{"the same with a port", api.PolicyQuery{From: "shop/web", To: "shop/dp:80", Protocol: "tcp"}, api.ErrNotFound, "there is no port shop/dp; did you mean shop/db?"},
		{"the same with an address", api.PolicyQuery{From: "wep@10.0.0.1", To: "shop/web", Protocol: "tcp", Port: 80}, api.ErrNotFound, "there is no port wep"},
		{"no address behind a port", api.PolicyQuery{From: "trunk@host", To: "shop/web", Protocol: "tcp", Port: 80}, api.ErrInvalid, "from trunk@host: behind the @ there has to be an IP address, with or without a port"},
		{"no number behind the colon", api.PolicyQuery{From: "shop/web", To: "shop/db:http", Protocol: "tcp"}, api.ErrInvalid, "to shop/db:http: behind the colon there has to be a port from 1 to 65535"},
		{"two ports", api.PolicyQuery{From: "shop/web", To: "shop/db:80", Protocol: "tcp", Port: 81}, api.ErrInvalid, "to port 80, as shop/db:80 says, or to port 81?"},
		{"no port", api.PolicyQuery{From: "shop/web", To: "shop/db", Protocol: "tcp"}, api.ErrInvalid, "to which port of shop/db? A session of tcp has one: 80, for example"},
		{"a port where there is none", api.PolicyQuery{From: "shop/web", To: "shop/db", Protocol: "icmp", Port: 80}, api.ErrInvalid, "protocol icmp has no ports: tcp, udp and sctp have"},
		{"a type where there is none", api.PolicyQuery{From: "shop/web", To: "shop/db", Protocol: "udp", Port: 80, ICMPType: new(uint8)}, api.ErrInvalid, "protocol udp has neither type nor code: icmp has"},
		{"no protocol", api.PolicyQuery{From: "shop/web", To: "shop/db", Port: 80}, api.ErrInvalid, "of which protocol? Want tcp, udp, sctp, icmp, or another one's name or number"},
		{"a protocol that is none", api.PolicyQuery{From: "shop/web", To: "shop/db", Port: 80, Protocol: "tpc"}, api.ErrInvalid, `protocol "tpc": want a number up to 255, or one of ICMP, IGMP, TCP, UDP`},
		{"ICMPv6 over IPv4", api.PolicyQuery{From: "shop/web", To: "shop/db", Protocol: "icmpv6"}, api.ErrInvalid, "protocol icmpv6 is none of IPv4 packets: want icmp"},
		{"addresses of two IP versions, one in brackets", api.PolicyQuery{From: "10.0.1.10", To: "[fd00:2::14]", Protocol: "tcp", Port: 80}, api.ErrInvalid, "10.0.1.10 and fd00:2::14 are of two IP versions: packets have one"},
		{"ports of two IP versions", api.PolicyQuery{From: "shop/other", To: "shop/six", Protocol: "tcp", Port: 80}, api.ErrInvalid, "ports shop/other and shop/six have no IP version in common: name addresses"},
		{"a port without the other's IP version", api.PolicyQuery{From: "shop/six", To: "10.0.2.20", Protocol: "tcp", Port: 80}, api.ErrInvalid, "port shop/six has no address of IPv4 as 10.0.2.20 is: name one of a host behind it, as shop/six@10.0.0.1"},
		{"a port without addresses", api.PolicyQuery{From: "trunk", To: "shop/db", Protocol: "tcp", Port: 80}, api.ErrInvalid, "port trunk has no IP address: name one of a host behind it, as trunk@10.0.0.1"},
		{"an address of two ports", api.PolicyQuery{From: "192.0.2.9", To: "10.0.1.10", Protocol: "tcp", Port: 80}, api.ErrInvalid, "10.0.1.10 is an address of several ports: say which, as shop/web@10.0.1.10 or twin@10.0.1.10"},
		{"nobody of ours", api.PolicyQuery{From: "192.0.2.9", To: "192.0.2.10", Protocol: "tcp", Port: 80}, api.ErrInvalid, "neither 192.0.2.9 nor 192.0.2.10 is an address of a port: rules are asked at ports"},
	} {
		t.Run(row.why, func(t *testing.T) {
			_, err := e.Evaluate(&row.q)
			require.ErrorIs(t, err, row.kind)
			require.ErrorContains(t, err, row.want)
		})
	}
}

// Rules that nearly matched are those before the one that decides all of whose conditions but one hold.
func TestNear(t *testing.T) {
	e := siteEvaluator(t)
	for _, row := range []struct {
		why     string
		q       api.PolicyQuery
		out, in []string
	}{
		{
			"of the database, the one for web servers; another port's isolation",
			api.PolicyQuery{From: "shop/other", To: "shop/db", Protocol: "tcp", Port: 5432},
			[]string{
				"1010: TCP port 5432 from port 49152 is none of TCP 23",
				"1040: TCP port 5432 from port 49152 is none of ping",
			},
			[]string{
				"1010: TCP port 5432 from port 49152 is none of TCP 23",
				"1021: TCP port 5432 from port 49152 is none of TCP 22",
				"1031: source 10.0.1.11 is not in pods with app=web",
				"1040: TCP port 5432 from port 49152 is none of ping",
				"1050: it is not applied to shop/db",
			},
		},
		{
			"what a jump leads past is not near",
			api.PolicyQuery{From: "192.0.2.70", To: "shop/web", Protocol: "tcp", Port: 81},
			nil,
			[]string{
				"1010: TCP port 81 from port 49152 is none of TCP 23",
				"1030: TCP port 81 from port 49152 is none of TCP 80, TCP 22",
				"1040: TCP port 81 from port 49152 is none of ping",
			},
		},
	} {
		t.Run(row.why, func(t *testing.T) {
			row.q.Explain = true
			a, err := e.Evaluate(&row.q)
			require.NoError(t, err)
			text := func(near []api.NearRule) (list []string) {
				for _, n := range near {
					list = append(list, fmt.Sprintf("%d: %s", n.ID, n.Failed))
				}
				return list
			}
			if row.out != nil {
				out := text(a.Egress.Near)
				require.Subset(t, out, row.out, strings.Join(out, "\n"))
			}
			require.Equal(t, row.in, text(a.Ingress.Near))
		})
	}
}

// What the compiled table says is what asking rule by rule says.
func TestAskAgreesWithLinear(t *testing.T) {
	e := siteEvaluator(t)
	rng := rand.New(rand.NewPCG(1, 2))
	addresses := []packet.Addr{}
	for _, text := range []string{"10.0.1.10", "10.0.1.11", "10.0.2.20", "192.0.2.70", "192.0.2.9", "fd00:1::a", "fd00:2::14", "fd00:2::66", "2001:db8::1"} {
		addresses = append(addresses, packet.AddrFrom(netip.MustParseAddr(text)))
	}
	hits := map[uint32]int{}
	for range 20_000 {
		x := tuple{
			from: pick(rng, e.model.Ports), to: pick(rng, e.model.Ports), src: pick(rng, addresses), dst: pick(rng, addresses),
			protocol: pick(rng, []uint8{packet.ProtoTCP, packet.ProtoUDP, packet.ProtoICMP, packet.ProtoICMPv6, packet.ProtoGRE}),
			srcPort:  uint16(rng.Uint32()), dstPort: pick(rng, []uint16{22, 23, 80, 5432, 8 << 8, 128 << 8, 3<<8 | 1}),
		}
		if x.src.Is4() != x.dst.Is4() || x.from == x.to {
			continue
		}
		x.scope = e.scopeBetween(&x)
		for _, at := range []struct {
			port *control.Port
			d    policy.Direction
		}{{x.from, policy.Out}, {x.to, policy.In}} {
			got := e.ask(&x, at.port, at.d)
			if got.match == nil || got.match == got.frame {
				continue
			}
			p := &classify.Packet{
				Port: at.port.Number, Direction: at.d, Scope: x.scope, Src: x.src, Dst: x.dst,
				Protocol: x.protocol, SrcPort: x.srcPort, DstPort: x.dstPort,
			}
			want := classify.Linear(e.Input, firewall.Early, p)
			if want == nil || want.Rule.Action == policy.JumpToApplication {
				require.Equal(t, want == nil, got.jump == nil)
				want = classify.Linear(e.Input, firewall.Application, p)
			}
			if want == nil {
				want = &e.ByDefault
			}
			require.Equal(t, want.Rule.ID, got.match.Rule.ID, "%+v", p)
			hits[want.Rule.ID]++
		}
	}
	require.Greater(t, len(hits), 7, "most rules are met: %v", hits)
}

func pick[T any](rng *rand.Rand, list []T) T { return list[rng.IntN(len(list))] }
