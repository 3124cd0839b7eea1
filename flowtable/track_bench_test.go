package flowtable

import (
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
)

// One data segment and the ACK that answers it; ns/op is for the pair, as it
// is divided in the custom metric.
func BenchmarkTrackTCP(b *testing.B) {
	for _, bench := range []struct{ name, data, ack string }{
		{"plain", "", ""},
		{"timestamps", " <ts>", " <ts>"},
		{"sack", " <ts>", " <ts,sack 1:2>"},
	} {
		b.Run(bench.name, func(b *testing.B) {
			c := newConversation(false)
			for _, text := range []string{
				"o S 0:0(0) win 60000 <wscale 7>",
				"r S. 1000:1000(0) ack 1 win 60000 <wscale 7>",
				"o . 1:1(0) ack 1001 win 10000",
			} {
				p := parseTCP(b, text)
				c.take(&p)
			}
			data := parseTCP(b, "o P. 1:1461(1460) ack 1001 win 10000"+bench.data)
			ack := parseTCP(b, "r . 1001:1001(0) ack 1461 win 10000"+bench.ack)
			seqAt, ackAt := data.frame[data.in.L4+4:], ack.frame[ack.in.L4+8:]
			var sackAt []byte
			if len(ack.frame) != len(data.frame) {
				sackAt = ack.frame[len(ack.frame)-8:]
			}
			b.ReportAllocs()
			n, invalid := uint32(1), 0
			before := cpuNs(b)
			for b.Loop() {
				putSeq(seqAt, n)
				n += 1460
				putSeq(ackAt, n)
				if sackAt != nil {
					putSeq(sackAt, n-100)
					putSeq(sackAt[4:], n)
				}
				if _, r := c.s.track(c.t, Original, &data.in, data.frame); r != 0 {
					invalid++
				}
				if _, r := c.s.track(c.t, Reply, &ack.in, ack.frame); r != 0 {
					invalid++
				}
			}
			if invalid != 0 {
				b.Fatalf("%d segments invalid", invalid)
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(2*b.N), "ns/pkt")
			b.ReportMetric(float64(cpuNs(b)-before)/float64(2*b.N), "cpu-ns/pkt")
		})
	}
}

func putSeq(b []byte, n uint32) {
	_ = b[3]
	b[0], b[1], b[2], b[3] = byte(n>>24), byte(n>>16), byte(n>>8), byte(n)
}

// cpuNs is the processor time of this process: on a busy machine it says more
// than the clock.
func cpuNs(b *testing.B) int64 {
	var ru syscall.Rusage
	require.NoError(b, syscall.Getrusage(syscall.RUSAGE_SELF, &ru))
	return ru.Utime.Nano() + ru.Stime.Nano()
}
