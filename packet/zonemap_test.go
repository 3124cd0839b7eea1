package packet

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestZoneMap(t *testing.T) {
	var m ZoneMap[uint32]
	require.Zero(t, m.At(0), "nothing is set")
	require.Zero(t, m.At(MaxZone))
	values := map[Zone]uint32{0: 9, 1: 1, 1023: 2, 1024: 3, 70000: 4, MaxZone: 5}
	for z, v := range values {
		m.Set(z, v)
	}
	for z, v := range values {
		require.Equal(t, v, m.At(z), "zone %d", z)
	}
	for _, z := range []Zone{2, 1025, 5000, 69999, MaxZone - 1, MaxZone + 1} {
		require.Zero(t, m.At(z), "zone %d was not set", z)
	}
}
