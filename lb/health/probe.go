package health

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"net"
	"net/netip"
	"os"
	"syscall"
	"time"

	"github.com/sluice-net/sluice/lb/member"
	"github.com/sluice-net/sluice/lb/service"
)

// probeKey is what is probed once.
type probeKey struct {
	monitor *service.Monitor
	scope   uint32
	to      netip.AddrPort
}

func keyOf(t *Target, m *service.Monitor) probeKey {
	port := cmp.Or(m.Port, t.Port)
	if m.Type == service.MonitorICMP {
		port = 0
	}
	return probeKey{m, t.Scope, netip.AddrPortFrom(t.Address, port)}
}

// probeName is what stays of a probe when its monitor is edited.
type probeName struct {
	name  string
	scope uint32
	to    netip.AddrPort
}

func nameOf(k *probeKey) probeName { return probeName{k.monitor.Name, k.scope, k.to} }

// probe is a monitor at an address. What is not said to be constant is under Checker.mu.
type probe struct {
	probeKey // constant, and so are the next six
	ctx      context.Context
	stop     context.CancelFunc
	interval time.Duration
	timeout  time.Duration
	phase    time.Duration // of the second probe after the first; see next
	talk     talk

	members []*watched
	verdict verdict
	last    Result
	first   bool // the first probe is over

	due time.Time
	at  int // in the schedule, from 1; 0: not there
}

func newProbe(ctx context.Context, key probeKey, seed uint64) *probe {
	p := &probe{
		probeKey: key, interval: max(time.Duration(key.monitor.IntervalNs), shortest),
		timeout: max(time.Duration(key.monitor.TimeoutNs), shortest), talk: talkOf(key.monitor, key.to, seed),
		verdict: verdict{health: member.Unknown},
	}
	p.ctx, p.stop = context.WithCancel(ctx)
	h := fnv.New32a()
	_, _ = fmt.Fprint(h, key.scope, key.to, key.monitor.Name) // it never fails (hash.Hash)
	p.phase = p.interval/2 + time.Duration(float64(p.interval)*float64(h.Sum32())/(1<<32))
	return p
}

// shortest keeps a monitor without times from taking the machine.
const shortest = 10 * time.Millisecond

// next returns when the probe that ended at end is to be made again: an interval after it was due. Between the first
// and the second lies between a half and one and a half of that, by the hash of who is probed:
// targets that came together are spread over the interval from then on, however the first went.
func (p *probe) next(end time.Time) time.Time {
	wait := p.interval
	if !p.first {
		p.first, wait = true, p.phase
	}
	if due := p.due.Add(wait); due.After(end) {
		return due
	}
	return end
}

// make probes once. answer says what came of it if that is good.
func (p *probe) make(n Network) (answer string, err error) {
	ctx, cancel := context.WithTimeout(p.ctx, p.timeout)
	defer cancel()
	if p.to.Port() == 0 && p.monitor.Type != service.MonitorICMP {
		return "", unexpectedf("there is no port to probe: give the member one, or the monitor")
	}
	conn, err := n.Dial(ctx, p.scope, networks[p.monitor.Type], p.to)
	if err != nil {
		return "", err
	}
	defer conn.Close()
	// A probe is no connection that anybody misses: without a reset each would leave a port in TIME_WAIT.
	if c, ok := conn.(interface{ SetLinger(seconds int) error }); ok {
		_ = c.SetLinger(0) // it is a courtesy
	}
	deadline, _ := ctx.Deadline()
	if err := conn.SetDeadline(deadline); err != nil {
		return "", err
	}
	end := context.AfterFunc(p.ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) }) // a closed one needs none
	defer end()
	return p.talk(conn, deadline)
}

// explain says in words why a probe failed.
func (p *probe) explain(err error) string {
	var errno syscall.Errno
	var bad *unexpected
	switch {
	case errors.As(err, &bad):
		return bad.text
	case errors.Is(err, os.ErrDeadlineExceeded) || errors.Is(err, context.DeadlineExceeded):
		return fmt.Sprintf("no answer in %v", p.timeout)
	case errors.As(err, &errno):
		return errno.Error()
	case errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF):
		return "the member closed the connection before it had answered"
	}
	var op *net.OpError
	if errors.As(err, &op) {
		err = op.Err
	}
	return err.Error()
}

// unexpected is an answer that is not the one that is wanted.
type unexpected struct{ text string }

func (u *unexpected) Error() string { return u.text }

func unexpectedf(format string, args ...any) error { return &unexpected{fmt.Sprintf(format, args...)} }
