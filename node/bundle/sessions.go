package bundle

import (
	"context"
	"slices"

	"github.com/sluice-net/sluice/api"
	"github.com/sluice-net/sluice/control/client"
)

// largest is how many sessions a summary names.
const largest = 20

// sessionSummary are live sessions in numbers.
type sessionSummary struct {
	Total      int               `json:"total"`
	Packets    uint64            `json:"packets"` // of both directions
	Bytes      uint64            `json:"bytes"`
	ByState    map[string]int    `json:"byState"`
	ByProtocol map[string]int    `json:"byProtocol"`
	BySegment  map[string]int    `json:"bySegment"` // or, as "uplink PORT", where they began
	Largest    []api.SessionView `json:"largest"`   // by bytes, the largest first
}

// sessionSummary asks for all sessions, one after the other, and keeps few. What has
// come before an error is counted.
func (c *collector) sessionSummary(ctx context.Context) (any, error) {
	s := sessionSummary{ByState: map[string]int{}, ByProtocol: map[string]int{}, BySegment: map[string]int{}}
	_, err := client.Each(ctx, c.Client, "sessions", api.Filter{}, func(v *api.SessionView) error {
		s.add(v)
		return nil
	})
	return s, err
}

func bytesOf(v *api.SessionView) uint64 { return v.Original.Bytes + v.Reply.Bytes }

func (s *sessionSummary) add(v *api.SessionView) {
	s.Total++
	s.Packets += v.Original.Packets + v.Reply.Packets
	s.Bytes += bytesOf(v)
	s.ByState[v.State]++
	s.ByProtocol[v.Protocol]++
	if v.Segment != "" {
		s.BySegment[v.Segment]++
	} else {
		s.BySegment["uplink "+v.Uplink]++
	}
	at, _ := slices.BinarySearchFunc(s.Largest, bytesOf(v), func(of api.SessionView, size uint64) int {
		if bytesOf(&of) >= size {
			return -1 // of equals the first stays
		}
		return 1
	})
	if at < largest {
		s.Largest = slices.Insert(s.Largest, at, *v)
		s.Largest = s.Largest[:min(len(s.Largest), largest)]
	}
}
