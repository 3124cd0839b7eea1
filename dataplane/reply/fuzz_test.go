package reply

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluice-net/sluice/packet"
	"github.com/sluice-net/sluice/port/mem"
)

// FuzzReject: whatever is rejected, nothing panics; the answer, if there is one, is a packet with right
// checksums, from whom the packet was for to whom it was from; and errors and resets have none.
func FuzzReject(f *testing.F) {
	for _, row := range rejections {
		f.Add(frameOf(f, row.in), false)
	}
	f.Add(frameOf(f, "tcp 10.0.0.1:1000 > 10.0.0.2:80 S seq 100 partial len 1000"), true)
	f.Fuzz(func(t *testing.T, frame []byte, partial bool) {
		if len(frame) == 0 || len(frame) > 1700 {
			return
		}
		n, _ := rejecting(t, 0, nil)
		n.mem[plain].InjectFrame(mem.Frame{Data: frame, Meta: packet.Meta{CsumPartial: partial, CsumStart: 34, CsumOffset: 16}})
		n.step()
		answers := n.mem[plain].Sent()
		if len(answers) == 0 {
			return
		}
		require.Len(t, answers, 1)
		var in, out packet.Info
		require.Equal(t, packet.None, packet.Parse(frame, &in))
		reply := answers[0].Data
		require.Equal(t, packet.None, packet.Parse(reply, &out), "%x", reply)
		require.False(t, out.Has(packet.BadIPChecksum|packet.IsFragment), "%x", reply)
		require.True(t, packet.VerifyTransport(reply, int(out.L3), int(out.L4), int(out.IPLen), out.Proto), "%x", reply)
		require.Equal(t, len(reply), int(out.L3)+int(out.IPLen))

		require.Equal(t, packet.Ethernet(frame).Src(), packet.Ethernet(reply).Dst())
		require.Equal(t, packet.Ethernet(frame).Dst(), packet.Ethernet(reply).Src())
		from, to := packet.Addresses(frame, &in)
		src, dst := packet.Addresses(reply, &out)
		require.Equal(t, [2]packet.Addr{to, from}, [2]packet.Addr{src, dst})

		require.False(t, in.Has(packet.ICMPError|packet.IsLaterFragment|packet.ToMulticast), "%x", frame)
		if in.Proto == packet.ProtoTCP {
			require.Zero(t, in.TCPFlags&packet.TCPRst, "%x", frame)
			require.NotZero(t, out.TCPFlags&packet.TCPRst, "%x", reply)
			require.Equal(t, in.Key.Reverse(), out.Key)
			return
		}
		require.True(t, out.Has(packet.ICMPError), "%x", reply)
		require.LessOrEqual(t, out.IPLen, uint32(1280))
		if !in.Has(packet.HasPorts) {
			return
		}
		_, quoted := packet.QuotedPacket(reply, &out)
		require.True(t, quoted, "the quote is enough to tell the session: %x", reply)
		require.Equal(t, in.Key.Reverse(), out.Key)
	})
}
