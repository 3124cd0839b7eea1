package firewall

import (
	"fmt"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluice-net/sluice/firewall/policy"
	"github.com/sluice-net/sluice/flowtable"
	"github.com/sluice-net/sluice/internal/frametext"
	"github.com/sluice-net/sluice/packet"
)

// logEntry is a packet to be noted, parsed.
type logEntry struct {
	frame []byte
	info  packet.Info
}

func entryOf(t testing.TB, line string) *logEntry {
	t.Helper()
	frame, err := frametext.Parse(line)
	require.NoError(t, err, line)
	e := &logEntry{frame: frame}
	require.Equal(t, packet.None, packet.Parse(frame, &e.info), line)
	return e
}

var logSection = &policy.Section{Title: "web", Rules: []policy.Rule{
	{ID: 1000, Logged: true, Tag: "audit"}, {ID: 1001}, {ID: 1002, Logged: true},
}}

// drain pops everything of a worker.
func drain(l *Log, w int) (list []LogRecord) {
	for r := (LogRecord{}); l.Pop(w, &r); {
		list = append(list, r)
	}
	return list
}

func TestLogPackets(t *testing.T) {
	l := NewLog(LogConfig{Workers: 2})
	rule := &logSection.Rules[0]
	addr := func(s string) packet.Addr { return entryOf(t, "udp "+s+":1 > 10.9.9.9:1").info.Key.Src }
	for _, row := range []struct {
		why, in string
		want    LogRecord
	}{
		{
			"a packet has its key, its length and its flags", "tcp 10.0.0.1:1000 > 10.0.0.2:80 SEW seq 1 mss 1460",
			LogRecord{
				Key: packet.Key{Src: addr("10.0.0.1"), Dst: addr("10.0.0.2"), Tail: packet.MakeTail(0, packet.ProtoTCP, 1000, 80)}, Length: 44,
				EtherType: packet.EtherTypeIPv4, TCPFlags: packet.TCPSyn | packet.TCPEce | packet.TCPCwr,
			},
		},
		{
			"an ICMP error has its own addresses, not those of what it quotes",
			"icmp 10.0.0.9 > 10.0.0.1 unreachable port quote { udp 10.0.0.1:9 > 10.0.0.2:53 }",
			LogRecord{
				Key:    packet.Key{Src: addr("10.0.0.9"), Dst: addr("10.0.0.1"), Tail: packet.MakeTail(0, packet.ProtoICMP, 0, 0)},
				Length: 56, EtherType: packet.EtherTypeIPv4,
			},
		},
		{
			"what is no IP packet has its MAC addresses", "ether type 0x88cc eth 02:00:00:00:00:01 > 01:80:c2:00:00:0e len 46",
			LogRecord{
				Length: 60, EtherType: 0x88cc, Src: packet.MAC{2, 0, 0, 0, 0, 1}, Dst: packet.MAC{1, 0x80, 0xc2, 0, 0, 0xe},
			},
		},
	} {
		e := entryOf(t, row.in)
		l.Packet(1, logSection, rule, 7, policy.Out, packet.PolicyDenied, &e.info, e.frame, 5e9)
		row.want.Time, row.want.Section, row.want.Rule = 5e9, logSection, rule
		row.want.Port, row.want.Direction, row.want.Reason = 7, policy.Out, packet.PolicyDenied
		require.Equal(t, []LogRecord{row.want}, drain(l, 1), row.why)
	}
	require.Empty(t, drain(l, 0), "the other worker has noted nothing")

	e := entryOf(t, "udp 10.0.0.1:9 > 10.0.0.2:53")
	l.Packet(0, logSection, &logSection.Rules[1], 7, policy.In, packet.None, &e.info, e.frame, 5e9)
	require.Empty(t, drain(l, 0), "a rule that is not logged says nothing")
}

func TestLogEnds(t *testing.T) {
	l := NewLog(LogConfig{})
	r := flowtable.Record{End: 9e9, Reason: flowtable.EndFIN, Packets: [2]uint64{10, 7}, Bytes: [2]uint64{1000, 700}}
	r.Keys[flowtable.Original] = entryOf(t, "tcp 10.0.0.1:1000 > 10.0.0.2:80 S").info.Key
	l.Ended(0, logSection, &logSection.Rules[0], 3, policy.Out, &r)
	l.Ended(0, logSection, &logSection.Rules[0], 4, policy.In, &r)
	l.Ended(0, logSection, &logSection.Rules[1], 4, policy.In, &r)
	list := drain(l, 0)
	require.Len(t, list, 2, "the rule that is not logged says nothing")
	require.Equal(t, [2]uint64{7, 10}, list[0].Packets, "what the initiator has sent is out for its own port")
	require.Equal(t, [2]uint64{1000, 700}, list[1].Bytes, "and in for the other's")
	require.Equal(t, flowtable.EndFIN, list[0].End)
	require.Equal(t, int64(9e9), list[0].Time)
	require.Equal(t, uint16(80), list[0].Key.DstPort())
}

func TestLogBoundsEachRule(t *testing.T) {
	l := NewLog(LogConfig{PerRule: 3})
	drop := func(rule int, port uint16, now int64) {
		e := entryOf(t, fmt.Sprintf("udp 10.0.0.%d:9 > 10.0.0.2:53 len 72", port)) // 100 bytes
		l.Packet(0, logSection, &logSection.Rules[rule], port, policy.In, packet.PolicyDenied, &e.info, e.frame, now)
	}
	for range 10 {
		drop(0, 1, 1e9)
	}
	drop(2, 1, 1e9)
	drop(0, 2, 1e9)
	list := drain(l, 0)
	require.Len(t, list, 5, "three of the rule, one of another rule, one of another port")
	for _, r := range list {
		require.Zero(t, r.More)
	}
	l.Tick(0, 1e9+999e6)
	require.Empty(t, drain(l, 0), "the second is not over")
	l.Tick(0, 2e9)
	list = drain(l, 0)
	require.Len(t, list, 1, "then one record stands for the rest")
	require.Equal(t, uint32(7), list[0].More)
	require.Equal(t, uint32(700), list[0].Length)
	require.Equal(t, uint32(1000), list[0].Rule.ID)
	require.Equal(t, int64(1e9), list[0].Time)
	l.Tick(0, 3e9)
	require.Empty(t, drain(l, 0), "once")
	drop(0, 1, 3e9)
	require.Len(t, drain(l, 0), 1, "a new second, a new allowance")
}

func TestLogBoundsMoreRulesThanItKnows(t *testing.T) {
	const rules, each = 4 * logBounds, 10
	l := NewLog(LogConfig{PerRule: 5, Records: 2 * 5 * rules})
	e := entryOf(t, "udp 10.0.0.1:9 > 10.0.0.2:53")
	section := &policy.Section{Rules: make([]policy.Rule, rules)}
	for i := range section.Rules {
		section.Rules[i] = policy.Rule{ID: 1000 + uint32(i), Logged: true}
	}
	for range each {
		for i := range section.Rules {
			l.Packet(0, section, &section.Rules[i], 1, policy.In, packet.PolicyDenied, &e.info, e.frame, 1e9)
		}
	}
	written := drain(l, 0)
	require.LessOrEqual(t, len(written), 5*logBounds, "rules that find no place share one")
	l.Tick(0, 2e9)
	total := len(written)
	for _, r := range drain(l, 0) {
		total += int(r.More)
	}
	require.Equal(t, rules*each, total, "every packet is in the log, one by one or summed up")
	require.Zero(t, l.Lost())
}

func TestLogLosesWhatFindsNoRoom(t *testing.T) {
	l := NewLog(LogConfig{Records: 8, PerRule: 20})
	e := entryOf(t, "udp 10.0.0.1:9 > 10.0.0.2:53")
	note := func(now int64) {
		l.Packet(0, logSection, &logSection.Rules[0], 1, policy.In, packet.PolicyDenied, &e.info, e.frame, now)
	}
	for range 20 {
		note(1e9)
	}
	require.Equal(t, uint64(12), l.Lost())
	for range 5 {
		note(1e9)
	}
	l.Tick(0, 2e9)
	require.Equal(t, uint64(17), l.Lost(), "of a sum that is lost, all that it stands for counts")
	require.Len(t, drain(l, 0), 8, "what was there first is read")
	note(2e9)
	require.Len(t, drain(l, 0), 1)
}

// TestLogIsReadWhileItIsWritten has the race detector look at the ring.
func TestLogIsReadWhileItIsWritten(t *testing.T) {
	l := NewLog(LogConfig{Workers: 2, Records: 64, PerRule: 1 << 20})
	const packets = 20000
	e := entryOf(t, "udp 10.0.0.1:9 > 10.0.0.2:53")
	var wg sync.WaitGroup
	for w := range 2 {
		wg.Go(func() {
			for i := range packets {
				l.Packet(w, logSection, &logSection.Rules[0], 1, policy.In, packet.PolicyDenied, &e.info, e.frame, int64(i))
			}
		})
	}
	done := make(chan struct{})
	go func() { wg.Wait(); close(done) }()
	read := uint64(0)
	last := [2]int64{-1, -1}
	for finished := false; !finished; {
		select {
		case <-done:
			finished = true
		default:
		}
		for w := range 2 {
			for _, r := range drain(l, w) {
				require.Greater(t, r.Time, last[w], "in the order in which they were written")
				last[w] = r.Time
				read++
			}
		}
	}
	require.Equal(t, uint64(2*packets), read+l.Lost())
}

func TestLogAllocatesNothing(t *testing.T) {
	l := NewLog(LogConfig{})
	e := entryOf(t, "tcp 10.0.0.1:1000 > 10.0.0.2:80 S")
	var record flowtable.Record
	var r LogRecord
	now := int64(1e9)
	require.Zero(t, testing.AllocsPerRun(1000, func() {
		now += 1e6
		l.Packet(0, logSection, &logSection.Rules[0], 1, policy.In, packet.PolicyDenied, &e.info, e.frame, now)
		l.Ended(0, logSection, &logSection.Rules[0], 1, policy.In, &record)
		l.Tick(0, now)
		for l.Pop(0, &r) {
		}
	}))
}

func BenchmarkLog(b *testing.B) {
	e := entryOf(b, "tcp 10.0.0.1:1000 > 10.0.0.2:80 S")
	for _, row := range []struct {
		name    string
		perRule int
		rule    int
	}{{"written", 1 << 30, 0}, {"held back", 1, 0}, {"not logged", 1, 1}} {
		b.Run(row.name, func(b *testing.B) {
			l := NewLog(LogConfig{PerRule: row.perRule})
			var r LogRecord
			for i := range b.N {
				l.Packet(0, logSection, &logSection.Rules[row.rule], 1, policy.In, packet.PolicyDenied, &e.info, e.frame, 1e9)
				if i%1024 == 0 {
					for l.Pop(0, &r) {
					}
				}
			}
		})
	}
}
