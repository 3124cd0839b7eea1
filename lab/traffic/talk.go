package traffic

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"net/netip"
	"time"
)

// Talk is a conversation with an Echo: numbered requests, each of which has to come back before the next is sent.
type Talk struct {
	Protocol string // tcp or udp
	To       netip.AddrPort
	Duration time.Duration // until it has had enough; 0 is until ctx is done
	Every    time.Duration // from the beginning of a request to that of the next, if it has been answered
	Patience time.Duration // after which a request, or a connection that is to be made, is Silent
	Size     int           // of a request, bytes

	// Anew makes a connection for each request; one that fails does not end the conversation.
	Anew bool

	// Idle says nothing any more after the first request, and waits for what the other end or somebody on the way does.
	Idle bool
}

// Report is what came of a conversation.
type Report struct {
	Requests int             `json:"requests"`
	Answers  int             `json:"answers"`
	Outcomes map[Outcome]int `json:"outcomes"` // of requests

	End                 Outcome `json:"end"` // of the last connection
	Seconds             float64 `json:"seconds"`
	LongestMilliseconds float64 `json:"longestMilliseconds"` // from a request to its answer
	Detail              string  `json:"detail,omitempty"`    // what the kernel has said last, if it was an error
}

// MaxRequest is the largest request that a conversation has, bytes.
const MaxRequest = 1 << 20

// Run has the conversation. The error is about this machine.
func (t *Talk) Run(ctx context.Context) (*Report, error) {
	if t.Size < 1 || t.Size > MaxRequest {
		return nil, fmt.Errorf("size %d is not between 1 and %d", t.Size, MaxRequest)
	}
	if t.Protocol != "tcp" && t.Protocol != "udp" {
		return nil, fmt.Errorf("%q: %w", t.Protocol, ErrProtocol)
	}
	if t.Duration > 0 {
		// No deadline of the context: a dialer that is about to hit it would call that a connection that timed out.
		var cancel context.CancelFunc
		ctx, cancel = context.WithCancel(ctx)
		defer cancel()
		defer time.AfterFunc(t.Duration, cancel).Stop()
	}
	v := &conversation{Talk: t, report: &Report{Outcomes: tally()}, begin: time.Now()}
	err := v.hold(ctx)
	v.report.Seconds = math.Round(time.Since(v.begin).Seconds()*1000) / 1000
	return v.report, err
}

// conversation is a Talk under way.
type conversation struct {
	*Talk
	report *Report
	begin  time.Time
	conn   net.Conn
}

// hold goes on until ctx is done, or the connection has ended.
func (v *conversation) hold(ctx context.Context) error {
	defer v.hangUp()
	for {
		begin := time.Now()
		err := v.request(ctx)
		if ctx.Err() != nil && err != nil {
			break // it was cut off, which is nobody's failure
		}
		v.report.Requests++
		outcome, known := outcomeOf(err)
		if !known {
			return err
		}
		v.report.Outcomes[outcome]++
		if outcome == Answered {
			v.report.Answers++
			v.report.LongestMilliseconds = max(v.report.LongestMilliseconds, float64(time.Since(begin).Microseconds())/1000)
		} else {
			v.report.End, v.report.Detail = outcome, detail(err)
			if !v.Anew {
				return nil
			}
		}
		if v.Anew {
			v.hangUp()
		}
		if v.Idle {
			return v.listen(ctx)
		}
		select {
		case <-ctx.Done():
		case <-time.After(time.Until(begin.Add(v.Every))):
		}
		if ctx.Err() != nil {
			break
		}
	}
	v.report.End = Ended
	return nil
}

func (v *conversation) hangUp() {
	if v.conn != nil {
		v.conn.Close()
		v.conn = nil
	}
}

// request sends one and reads its answer. If ctx is done first, it is cut off.
func (v *conversation) request(ctx context.Context) error {
	if v.conn == nil {
		d := net.Dialer{Timeout: v.Patience}
		conn, err := d.DialContext(ctx, v.Protocol, v.To.String())
		if err != nil {
			return err
		}
		v.conn = conn
	}
	conn := v.conn // of this request, also for what comes too late
	if err := conn.SetDeadline(time.Now().Add(v.Patience)); err != nil {
		return err
	}
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Now()) })
	defer stop()
	want := make([]byte, v.Size)
	_, _ = io.ReadFull(pattern{}, want)
	copy(want, fmt.Sprintf("%d ", v.report.Requests))
	if _, err := conn.Write(want); err != nil {
		return err
	}
	got := make([]byte, v.Size)
	if _, err := io.ReadFull(conn, got); err != nil {
		if errors.Is(err, io.ErrUnexpectedEOF) {
			err = io.EOF
		}
		return err
	}
	if !bytes.Equal(got, want) {
		return fmt.Errorf("request %d came back as something else", v.report.Requests)
	}
	return nil
}

// listen waits for the end of a connection on which nobody says anything.
func (v *conversation) listen(ctx context.Context) error {
	conn := v.conn
	if err := conn.SetDeadline(time.Time{}); err != nil {
		return err
	}
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Now()) })
	defer stop()
	n, err := conn.Read(make([]byte, 1))
	switch outcome, known := outcomeOf(err); {
	case ctx.Err() != nil && outcome == Silent:
		v.report.End = Ended
	case n > 0:
		return errors.New("something came that nobody asked for")
	case !known:
		return err
	default:
		v.report.End, v.report.Detail = outcome, detail(err)
	}
	return nil
}

// pattern is a source of bytes that are not all alike.
type pattern struct{}

func (pattern) Read(b []byte) (int, error) {
	for i := range b {
		b[i] = byte('a' + i%26)
	}
	return len(b), nil
}
