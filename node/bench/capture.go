package bench

import (
	"errors"
	"fmt"
	"io"

	"github.com/sluice-net/sluice/dataplane"
	"github.com/sluice-net/sluice/packet"
	"github.com/sluice-net/sluice/port/pcap"
)

// capture is a port that receives the IP packets of a capture over and over.
// They keep their addresses and lengths; the link layer is that of the
// benchmark: a host of the senders' port sends them, to a bridged host or to
// the router. A session is on one queue, so that its packets stay in order.
type capture struct {
	queues []captureQueue
	flows  int // sessions that the packets are of
}

type captureQueue struct {
	frames [][]byte
	next   int
	_      [64]byte // each is written by another worker
}

// newCapture reads the packets that the pipeline will take: those that
// packet.Parse has no fault to find with.
func newCapture(c *Config) (*capture, error) {
	r, err := pcap.Open(c.Pcap)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	out := &capture{queues: make([]captureQueue, c.Workers)}
	src, dst := mac(senders.host(0)), packet.GatewayMAC
	isBridged := c.has(L2) && !c.has(L3)
	if isBridged {
		dst = mac(bridged.host(0))
	}
	flows := map[packet.Key]bool{} // each by the direction seen first
	var f pcap.Frame
	for {
		err := r.Next(&f)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, err
		}
		var in packet.Info
		if packet.Parse(f.Data, &in) != packet.None || !in.Has(packet.IsIP) || in.Has(packet.HasVLAN|packet.IsFragment|packet.ICMPError|packet.ToMulticast) {
			continue
		}
		// All packets come in here: routed, an answer is a session of its own, since that
		// of the question expects it on the other side of the router.
		if !isBridged || !flows[in.Key.Reverse()] {
			flows[in.Key] = true
		}
		frame := append([]byte(nil), f.Data...)
		copy(frame, dst[:])
		copy(frame[6:], src[:])
		q := &out.queues[int(packet.SymmetricHash(&in.Key, c.Seed))%c.Workers]
		q.frames = append(q.frames, frame)
	}
	out.flows = len(flows)
	for i := range out.queues {
		if len(out.queues[i].frames) == 0 {
			return nil, fmt.Errorf("%s: no IP packets for worker %d", c.Pcap, i)
		}
	}
	return out, nil
}

// Rx gives the next packets of the queue.
func (c *capture) Rx(q int, cache *packet.Cache, bufs []packet.Index) int {
	s := &c.queues[q]
	arena := cache.Arena()
	for i := range bufs {
		f := s.frames[s.next]
		b := cache.AllocFor(len(f))
		if b == 0 {
			return i
		}
		arena.Meta(b).Len = uint32(len(f))
		copy(arena.Frame(b), f)
		bufs[i] = b
		if s.next++; s.next == len(s.frames) {
			s.next = 0
		}
	}
	return len(bufs)
}

// Tx frees what comes back.
func (c *capture) Tx(_ int, cache *packet.Cache, bufs []packet.Index) int {
	cache.FreeN(bufs)
	return len(bufs)
}

// Caps returns a queue for each worker.
func (c *capture) Caps() dataplane.Caps { return dataplane.Caps{Queues: len(c.queues), Up: true} }

// PerQueue returns how many packets a queue has.
func (c *capture) PerQueue(q int) int { return len(c.queues[q].frames) }
