package mem

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluice-net/sluice/dataplane"
	"github.com/sluice-net/sluice/packet"
)

var _ dataplane.Port = (*Sink)(nil)

func TestSinkFreesWhatItTakes(t *testing.T) {
	c := arena(t, packet.ArenaConfig{Buffers: 4})
	s := NewSink(2)
	var bufs [4]packet.Index
	require.Zero(t, s.Rx(0, c, bufs[:]))
	for q := range 3 { // any worker may send
		require.Equal(t, 4, c.AllocN(bufs[:]))
		require.Equal(t, 4, s.Tx(q, c, bufs[:]))
	}
	require.EqualValues(t, 12, s.Sent())
	require.Equal(t, dataplane.Caps{Queues: 2, Up: true}, s.Caps())
	require.Equal(t, 1, NewSink(0).Caps().Queues)
}
