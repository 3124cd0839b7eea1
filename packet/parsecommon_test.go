package packet

import (
	"math/rand/v2"
	"testing"
	"unsafe"

	"github.com/stretchr/testify/require"
)

// parseCommon runs ParseCommon on a copy with room behind it, as buffers have.
func parseCommon(frame []byte, z Zone) (in Info, ok bool) {
	b := make([]byte, len(frame)+64)
	copy(b, frame)
	ok = ParseCommon(unsafe.Pointer(unsafe.SliceData(b)), uint32(len(frame)), z, &in)
	return in, ok
}

// sameAsParse holds if ParseCommon claims nothing that Parse would not say.
func sameAsParse(t *testing.T, frame []byte) (common bool) {
	const zone = 77
	in, ok := parseCommon(frame, zone)
	if !ok {
		return false
	}
	var want Info
	require.Equal(t, None, Parse(frame, &want), "% x", frame)
	want.Key = want.Key.WithZone(zone)
	require.Equal(t, want, in, "% x", frame)
	return true
}

func commonFrames() map[string][]byte {
	frames := map[string][]byte{}
	for name, proto := range map[string]uint8{"tcp": ProtoTCP, "udp": ProtoUDP} {
		f := make([]byte, 80)
		copy(f, []byte{2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 8, 0, 0x45, 7, 0, 66, 0x12, 0x34, 0x40, 0, 63, proto, 0, 0, 10, 1, 2, 3, 192, 168, 4, 5, 0x30, 0x39, 0, 80, 0, 46})
		if proto == ProtoTCP {
			f[46], f[47] = 0x80, TCPAck|TCPPsh
		}
		AsIPv4Must(f[14:]).UpdateChecksum()
		frames[name] = f
	}
	return frames
}

func AsIPv4Must(b []byte) IPv4 {
	p, ok := AsIPv4(b)
	if !ok {
		panic("not IPv4")
	}
	return p
}

func TestParseCommonTakesWhatIsCommon(t *testing.T) {
	for name, f := range commonFrames() {
		require.True(t, sameAsParse(t, f), name)
	}
}

// Every single-byte change of a common frame is judged as Parse does, or left to it.
func TestParseCommonAgreesWithParse(t *testing.T) {
	taken := 0
	for _, f := range commonFrames() {
		for i := range 60 {
			for v := range 256 {
				g := append([]byte(nil), f...)
				g[i] = byte(v)
				for _, mend := range []bool{false, true} {
					if mend && g[14]>>4 == 4 && g[14]&0xf >= 5 {
						if p, ok := AsIPv4(g[14:]); ok {
							p.UpdateChecksum()
						}
					}
					if sameAsParse(t, g) {
						taken++
					}
				}
			}
		}
		for n := range len(f) {
			sameAsParse(t, f[:n])
		}
	}
	require.Greater(t, taken, 10000, "the fast way was hardly ever taken")
}

func TestParseCommonOnNoise(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for range 200_000 {
		for _, f := range commonFrames() {
			for range 1 + rng.IntN(4) {
				f[rng.IntN(len(f))] = byte(rng.Uint32())
			}
			sameAsParse(t, f[:rng.IntN(len(f)+1)])
		}
	}
}

func FuzzParseCommon(f *testing.F) {
	for _, frame := range commonFrames() {
		f.Add(frame)
	}
	f.Fuzz(func(t *testing.T, frame []byte) { sameAsParse(t, frame) })
}

func BenchmarkParseCommon(b *testing.B) {
	for name, f := range commonFrames() {
		b.Run(name, func(b *testing.B) {
			var in Info
			p := unsafe.Pointer(unsafe.SliceData(f))
			for range b.N {
				if !ParseCommon(p, uint32(len(f)), 1, &in) {
					b.Fatal("not common")
				}
			}
		})
	}
}
