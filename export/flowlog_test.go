package export

import (
	"encoding/json"
	"net/netip"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-net/sluice/flowtable"
	"github.com/sluice-net/sluice/packet"
)

// boot is when the table's clock began, in Unix time.
const boot = int64(1767323045e9)

// flowLog knows the owner of one address in one zone.
var flowLog = FlowLog{
	WallClock: func(now int64) int64 { return boot + now },
	Endpoint: func(z packet.Zone, a netip.Addr) Endpoint {
		if z == 3 && a == netip.MustParseAddr("10.0.0.1") {
			return Endpoint{Namespace: "web", PodName: "a", Labels: []string{"app=shop"}}
		}
		return Endpoint{}
	},
	Bound: func(b *flowtable.Binding) Bound {
		if b.Service != 5 {
			return Bound{}
		}
		return Bound{
			Service: ServiceRef{"shop", "web"}, Server: "web/shop:https", Member: "web/a", Address: netip.MustParseAddr("10.0.0.1"),
			Why: "ROUND_ROBIN", Source: "automap",
		}
	},
	Revision: 12,
}

// key returns the key of "1.2.3.4:5 > ..." in a zone.
func key(z packet.Zone, proto uint8, src, dst string) packet.Key {
	s, d := netip.MustParseAddrPort(src), netip.MustParseAddrPort(dst)
	return packet.Key{
		Src: packet.AddrFrom(s.Addr()), Dst: packet.AddrFrom(d.Addr()),
		Tail: packet.MakeTail(z, proto, s.Port(), d.Port()),
	}
}

func TestFlow(t *testing.T) {
	at := func(s float64) int64 { return int64(s * 1e9) }
	// Fields that no row is about.
	rest := `"Type":"L3_L4","event_type":"session-end"`
	times := `"start_time":"2026-01-02T03:04:06Z","last_seen":"2026-01-02T03:04:07.5Z"`
	owner := `"source":{"namespace":"web","pod_name":"a","labels":["app=shop"]}`
	for _, row := range []struct {
		why  string
		rec  flowtable.Record
		want string
	}{
		{
			"TCP between neighbours, of whom one is known",
			flowtable.Record{
				Keys:    [2]packet.Key{key(3, packet.ProtoTCP, "10.0.0.1:40000", "10.0.0.2:443"), key(3, packet.ProtoTCP, "10.0.0.2:443", "10.0.0.1:40000")},
				Packets: [2]uint64{5, 4}, Bytes: [2]uint64{500, 4000}, State: flowtable.StateTCPTimeWait, Reason: flowtable.EndFIN,
			},
			`{"time":"2026-01-02T03:04:09Z","verdict":"FORWARDED","IP":{"source":"10.0.0.1","destination":"10.0.0.2","ipVersion":"IPv4"},
			"l4":{"TCP":{"source_port":40000,"destination_port":443}},` + owner + `,"destination":{},` + rest + `,
			"protocol":6,"zone":3,` + times + `,"state":"TIME_WAIT","end_reason":"END_OF_FLOW","revision":12,
			"packets":{"original":5,"reply":4},"bytes":{"original":500,"reply":4000}}`,
		},
		{
			"UDP over IPv6, whose owners nobody knows",
			flowtable.Record{
				Keys:    [2]packet.Key{key(3, packet.ProtoUDP, "[fd00::1]:5353", "[fd00::2]:53"), key(3, packet.ProtoUDP, "[fd00::2]:53", "[fd00::1]:5353")},
				Packets: [2]uint64{1, 0}, Bytes: [2]uint64{70, 0}, State: flowtable.StateOtherFirst, Reason: flowtable.EndTimeout,
			},
			`{"time":"2026-01-02T03:04:09Z","verdict":"FORWARDED","IP":{"source":"fd00::1","destination":"fd00::2","ipVersion":"IPv6"},
			"l4":{"UDP":{"source_port":5353,"destination_port":53}},"source":{},"destination":{},` + rest + `,
			"protocol":17,"zone":3,` + times + `,"state":"FIRST","end_reason":"IDLE_TIMEOUT","revision":12,
			"packets":{"original":1,"reply":0},"bytes":{"original":70,"reply":0}}`,
		},
		{
			"a ping has a type and an identifier for ports",
			flowtable.Record{Keys: [2]packet.Key{key(3, packet.ProtoICMP, "10.0.0.1:77", "10.0.0.2:2048"), key(3, packet.ProtoICMP, "10.0.0.2:2048", "10.0.0.1:77")}, State: flowtable.StateOtherFirst, Reason: flowtable.EndTimeout},
			`{"time":"2026-01-02T03:04:09Z","verdict":"FORWARDED","IP":{"source":"10.0.0.1","destination":"10.0.0.2","ipVersion":"IPv4"},
			"l4":{"ICMPv4":{"type":8,"id":77}},` + owner + `,"destination":{},` + rest + `,
			"protocol":1,"zone":3,` + times + `,"state":"FIRST","end_reason":"IDLE_TIMEOUT","revision":12,
			"packets":{"original":0,"reply":0},"bytes":{"original":0,"reply":0}}`,
		},
		{
			"and over IPv6 its own",
			flowtable.Record{Keys: [2]packet.Key{key(3, packet.ProtoICMPv6, "[fd00::1]:77", "[fd00::2]:32768"), key(3, packet.ProtoICMPv6, "[fd00::2]:32768", "[fd00::1]:77")}, State: flowtable.StateOtherFirst, Reason: flowtable.EndCleared},
			`{"time":"2026-01-02T03:04:09Z","verdict":"FORWARDED","IP":{"source":"fd00::1","destination":"fd00::2","ipVersion":"IPv6"},
			"l4":{"ICMPv6":{"type":128,"id":77}},"source":{},"destination":{},` + rest + `,
			"protocol":58,"zone":3,` + times + `,"state":"FIRST","end_reason":"CLEARED","revision":12,
			"packets":{"original":0,"reply":0},"bytes":{"original":0,"reply":0}}`,
		},
		{
			"a protocol without ports has no l4",
			flowtable.Record{Keys: [2]packet.Key{key(3, packet.ProtoGRE, "10.0.0.1:0", "10.0.0.2:0"), key(3, packet.ProtoGRE, "10.0.0.2:0", "10.0.0.1:0")}, State: flowtable.StateOtherFirst, Reason: flowtable.EndEvicted},
			`{"time":"2026-01-02T03:04:09Z","verdict":"FORWARDED","IP":{"source":"10.0.0.1","destination":"10.0.0.2","ipVersion":"IPv4"},
			` + owner + `,"destination":{},` + rest + `,
			"protocol":47,"zone":3,` + times + `,"state":"FIRST","end_reason":"LACK_OF_RESOURCES","revision":12,
			"packets":{"original":0,"reply":0},"bytes":{"original":0,"reply":0}}`,
		},
		{
			"a routed session is not translated, though its replies come from another zone",
			flowtable.Record{Keys: [2]packet.Key{key(4, packet.ProtoSCTP, "10.0.0.9:1", "10.0.0.1:2"), key(3, packet.ProtoSCTP, "10.0.0.1:2", "10.0.0.9:1")}, State: flowtable.StateOtherFirst, Reason: flowtable.EndShutdown},
			`{"time":"2026-01-02T03:04:09Z","verdict":"FORWARDED","IP":{"source":"10.0.0.9","destination":"10.0.0.1","ipVersion":"IPv4"},
			"l4":{"SCTP":{"source_port":1,"destination_port":2}},"source":{},"destination":{"namespace":"web","pod_name":"a","labels":["app=shop"]},` + rest + `,
			"protocol":132,"zone":4,` + times + `,"state":"FIRST","end_reason":"SHUTDOWN","revision":12,
			"packets":{"original":0,"reply":0},"bytes":{"original":0,"reply":0}}`,
		},
		{
			"a service: the destination is who answers, its address the one asked for",
			flowtable.Record{
				Keys:       [2]packet.Key{key(4, packet.ProtoTCP, "10.9.0.9:40000", "192.0.2.80:443"), key(3, packet.ProtoTCP, "10.0.0.1:8443", "10.9.0.1:61000")},
				Binding:    flowtable.Binding{Service: 5, Member: 3<<24 | 2, Source: 9},
				EgressRule: [2]uint32{21, 99}, IngressRule: [2]uint32{22, 98}, State: flowtable.StateTCPEstablished, Reason: flowtable.EndRST,
			},
			`{"time":"2026-01-02T03:04:09Z","verdict":"TRANSLATED","IP":{"source":"10.9.0.9","destination":"192.0.2.80","ipVersion":"IPv4"},
			"l4":{"TCP":{"source_port":40000,"destination_port":443}},"source":{},"destination":{"namespace":"web","pod_name":"a","labels":["app=shop"]},` + rest + `,
			"protocol":6,"zone":4,` + times + `,"state":"ESTABLISHED","end_reason":"RESET","revision":12,
			"packets":{"original":0,"reply":0},"bytes":{"original":0,"reply":0},
			"translated":{"source":"10.9.0.1","destination":"10.0.0.1","source_port":61000,"destination_port":8443},
			"destination_service":{"name":"shop","namespace":"web"},"service":{"id":5,"name":"web/shop:https"},"vip":{"address":"192.0.2.80","port":443},
			"member":{"id":2,"name":"web/a","address":"10.0.0.1","port":8443,"why":"ROUND_ROBIN"},"nat":{"source_rule":"automap"},
			"rules":{"egress":21,"ingress":22}}`,
		},
		{
			"direct server return: packets go to the member as they are, so its own address is told",
			flowtable.Record{
				Keys:    [2]packet.Key{key(4, packet.ProtoUDP, "10.9.0.9:40000", "192.0.2.80:443"), key(4, packet.ProtoUDP, "192.0.2.80:443", "10.9.0.9:40000")},
				Binding: flowtable.Binding{Service: 5, Member: 2}, State: flowtable.StateOtherFirst, Reason: flowtable.EndTimeout,
			},
			`{"time":"2026-01-02T03:04:09Z","verdict":"FORWARDED","IP":{"source":"10.9.0.9","destination":"192.0.2.80","ipVersion":"IPv4"},
			"l4":{"UDP":{"source_port":40000,"destination_port":443}},"source":{},"destination":{},` + rest + `,
			"protocol":17,"zone":4,` + times + `,"state":"FIRST","end_reason":"IDLE_TIMEOUT","revision":12,
			"packets":{"original":0,"reply":0},"bytes":{"original":0,"reply":0},
			"destination_service":{"name":"shop","namespace":"web"},"service":{"id":5,"name":"web/shop:https"},"vip":{"address":"192.0.2.80","port":443},
			"member":{"id":2,"name":"web/a","address":"10.0.0.1","port":443,"why":"ROUND_ROBIN"},"nat":{"source_rule":"automap"}}`,
		},
		{
			"a member whose service is gone has its number, and the address that answers",
			flowtable.Record{
				Keys:    [2]packet.Key{key(4, packet.ProtoUDP, "10.9.0.9:40000", "192.0.2.80:443"), key(4, packet.ProtoUDP, "10.0.0.9:53", "10.9.0.9:40000")},
				Binding: flowtable.Binding{Service: 6, Member: 7}, State: flowtable.StateOtherFirst, Reason: flowtable.EndMember,
			},
			`{"time":"2026-01-02T03:04:09Z","verdict":"TRANSLATED","IP":{"source":"10.9.0.9","destination":"192.0.2.80","ipVersion":"IPv4"},
			"l4":{"UDP":{"source_port":40000,"destination_port":443}},"source":{},"destination":{},` + rest + `,
			"protocol":17,"zone":4,` + times + `,"state":"FIRST","end_reason":"MEMBER_REMOVED","revision":12,
			"packets":{"original":0,"reply":0},"bytes":{"original":0,"reply":0},
			"translated":{"source":"10.9.0.9","destination":"10.0.0.9","source_port":40000,"destination_port":53},
			"service":{"id":6},"vip":{"address":"192.0.2.80","port":443},"member":{"id":7,"address":"10.0.0.9","port":53}}`,
		},
	} {
		t.Run(row.why, func(t *testing.T) {
			row.rec.Start, row.rec.Last, row.rec.End = at(1), at(2.5), at(4)
			got, err := json.Marshal(flowLog.Flow(&row.rec))
			require.NoError(t, err)
			require.JSONEq(t, row.want, string(got))
		})
	}
}

func TestTime(t *testing.T) {
	for want, ns := range map[string]int64{
		"1970-01-01T00:00:00Z":           0,
		"1969-12-31T23:59:59.999999999Z": -1,
		"2026-01-02T03:04:05.000000001Z": boot + 1,
		"2106-02-07T06:28:15Z":           (1<<32 - 1) * 1e9,
	} {
		require.Equal(t, want, Time(ns))
		back, err := time.Parse(time.RFC3339Nano, Time(ns))
		require.NoError(t, err)
		require.Equal(t, ns, back.UnixNano())
	}
}

func TestProtocolNames(t *testing.T) {
	seen := map[string]uint8{}
	for p := range 256 {
		name := ProtocolName(uint8(p))
		other, twice := seen[name]
		require.False(t, twice, "%d and %d are both %s", other, p, name)
		seen[name] = uint8(p)
	}
	require.EqualValues(t, 6, seen["TCP"])
	require.EqualValues(t, 58, seen["ICMPv6"])
	require.EqualValues(t, 89, seen["89"], "what has no name here has its number")
}
