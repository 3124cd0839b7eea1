package packet

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestGRE(t *testing.T) {
	runViewRows(t, []viewRow[GREFields]{
		{"bare", `0000 6558`, GREFields{Proto: EtherTypeTEB}},
		{"with key", `2000 6558 00000007`, GREFields{Proto: EtherTypeTEB, HasKey: true, Key: 7}},
		{"with sequence number, as ERSPAN type II", `1000 88be 00000009`, GREFields{Proto: 0x88be, HasSeq: true, Seq: 9}},
		{
			"all three, in this order", `b000 0800 beef0000 00000007 00000009`,
			GREFields{Proto: EtherTypeIPv4, HasChecksum: true, Checksum: 0xbeef, HasKey: true, Key: 7, HasSeq: true, Seq: 9},
		},
	}, func(b []byte) (GREFields, bool) {
		g, ok := AsGRE(b)
		if !ok {
			return GREFields{}, false
		}
		return g.Fields(), true
	}, func(f GREFields, b []byte) int { return f.Put(b) })
	for _, row := range []struct{ why, hex string }{
		{"version 1 is PPTP's", `2001 880b 00000000`},
		{"routing of RFC 1701", `4000 0800 00000000 00000000`},
	} {
		_, ok := AsGRE(unhex(t, row.hex))
		require.False(t, ok, row.why)
	}
	require.Equal(t, []byte{1, 2}, GRE(unhex(t, `2000 6558 00000007 0102`)).Payload())
}

func TestVXLAN(t *testing.T) {
	runViewRows(t, []viewRow[VXLANFields]{
		{"the largest VNI", `08000000 ffffff00`, VXLANFields{VNI: MaxVNI}},
		{"an ordinary one", `08000000 00138900`, VXLANFields{VNI: 5001}},
	}, func(b []byte) (VXLANFields, bool) {
		v, ok := AsVXLAN(b)
		if !ok {
			return VXLANFields{}, false
		}
		return v.Fields(), true
	}, func(f VXLANFields, b []byte) int { return f.Put(b) })
	_, ok := AsVXLAN(unhex(t, `00000000 00138900`))
	require.False(t, ok, "RFC 7348: the I flag must be set")
	require.Equal(t, []byte{1}, VXLAN(unhex(t, `08000000 00138900 01`)).Payload())
}

func TestGeneve(t *testing.T) {
	runViewRows(t, []viewRow[GeneveFields]{
		{"bare", `0000 6558 00138900`, GeneveFields{Proto: EtherTypeTEB, VNI: 5001, Options: []byte{}}},
		{
			"control, critical and an option", `02c0 6558 00138900 0104 80 01 0a0b0c0d`,
			GeneveFields{Control: true, Critical: true, Proto: EtherTypeTEB, VNI: 5001, Options: []byte{1, 4, 0x80, 1, 10, 11, 12, 13}},
		},
	}, func(b []byte) (GeneveFields, bool) {
		g, ok := AsGeneve(b)
		if !ok {
			return GeneveFields{}, false
		}
		return g.Fields(), true
	}, func(f GeneveFields, b []byte) int { return f.Put(b) })
	_, ok := AsGeneve(unhex(t, `4000 6558 00138900`))
	require.False(t, ok, "version 1")

	want := []GeneveOption{{0x0104, 0x80, []byte{1, 2, 3, 4}}, {0x0104, 1, []byte{}}}
	f := GeneveFields{Proto: EtherTypeTEB}
	for _, o := range want {
		f.Options = o.Append(f.Options)
	}
	b := make([]byte, f.Size()+2)
	f.Put(b)
	g, ok := AsGeneve(b)
	require.True(t, ok)
	require.Equal(t, []byte{0, 0}, g.Payload())
	var got []GeneveOption
	it := g.Options()
	for o, ok := it.Next(); ok; o, ok = it.Next() {
		got = append(got, o)
	}
	require.Equal(t, want, got)
	require.False(t, it.Malformed())
	require.True(t, got[0].Critical())
	require.False(t, got[1].Critical())

	it = Geneve(unhex(t, `0100 6558 00138900 0104 80 01 0a0b0c0d`)).Options()
	_, ok = it.Next()
	require.False(t, ok)
	require.True(t, it.Malformed(), "an option longer than the options")
}
