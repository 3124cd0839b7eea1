//go:build !race

package packet

import (
	"regexp"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestAnonHugeBytes(t *testing.T) {
	const smaps = `7f0000000000-7f0000200000 rw-p 00000000 00:00 0
Size:               2048 kB
AnonHugePages:      2048 kB
VmFlags: rd wr mr mw me ac hg
7f0000200000-7f0000400000 rw-p 00000000 00:00 0
AnonHugePages:         0 kB
7f0000400000-7f0000a00000 rw-p 00000000 00:00 0                          [anon: x]
Rss:                   4 kB
AnonHugePages:      4096 kB
`
	for _, tt := range []struct {
		why  string
		at   uint64
		want int
	}{
		{"the start of an area", 0x7f0000000000, 2 << 20},
		{"its last byte", 0x7f00001fffff, 2 << 20},
		{"an area without huge pages", 0x7f0000200000, 0},
		{"the last area, by a byte within", 0x7f0000500000, 4 << 20},
		{"an address that is not mapped", 0x1000, 0},
	} {
		require.Equal(t, tt.want, anonHugeBytes(smaps, tt.at), tt.why)
	}
	require.Zero(t, anonHugeBytes("garbage\n\n-\nAnonHugePages: x kB", 0))
}

func TestPagesObtained(t *testing.T) {
	a := newTestArena(t, ArenaConfig{Buffers: 4096, Prefault: true})
	require.Regexp(t, regexp.MustCompile(`^(hugetlb|thp [0-9]+ of 10 MiB|4k)$`), a.Pages())
	t.Log(a.Pages())
	require.Zero(t, uintptr(a.base)%pageSize, "a UMEM starts on a page")
	small := newTestArena(t, ArenaConfig{Buffers: 3})
	require.Equal(t, "4k", small.Pages())
}
