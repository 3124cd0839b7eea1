package main

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/sluice-net/sluice/api"
	"github.com/sluice-net/sluice/control/client"
)

// topOptions are the flags of top.
type topOptions struct {
	conn          connection
	output, order string
	interval      time.Duration
	times         int
	once          bool
}

func newTop() *cobra.Command {
	var o topOptions
	cmd := &cobra.Command{
		Use:   "top",
		Short: "Watch what passes a running node",
		Long: `Top shows rates, measured over an interval: packets and bits of every port, drops
by reason, sessions, and what share of their time the workers are busy. On a
terminal it goes on until it is interrupted, in place; elsewhere each turn is
printed below the one before.`,
		Example: `  sluice top
  sluice top --sort drops --interval 5s
  sluice top --once -o json`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if o.once {
				o.times = 1
			}
			return o.run(cmd.Context(), cmd.OutOrStdout())
		},
	}
	f := cmd.Flags()
	o.conn.addFlags(cmd)
	f.DurationVar(&o.interval, "interval", time.Second, "time between two looks, at least 100ms")
	f.IntVarP(&o.times, "times", "n", 0, "how often to print; 0: until interrupted")
	f.BoolVar(&o.once, "once", false, "print once: -n 1")
	f.StringVar(&o.order, "sort", "name", "order of the ports: name, rx, tx or drops")
	f.StringVarP(&o.output, "output", "o", formTable, "table, or json: an object a line")
	completeWords(cmd, "sort", "name", "rx", "tx", "drops")
	completeWords(cmd, "output", formTable, formJSON)
	return cmd
}

func (o *topOptions) validate() error {
	switch {
	case o.interval < 100*time.Millisecond:
		return fmt.Errorf("--interval %v is less than 100ms", o.interval)
	case o.times < 0:
		return fmt.Errorf("-n %d is not 0 or more", o.times)
	case !slices.Contains([]string{"name", "rx", "tx", "drops"}, o.order):
		return fmt.Errorf("--sort %s: want name, rx, tx or drops", o.order)
	case o.output != formTable && o.output != formJSON:
		return fmt.Errorf("-o %s: want table or json", o.output)
	}
	return nil
}

func (o *topOptions) run(ctx context.Context, out io.Writer) error {
	if err := o.validate(); err != nil {
		return withStatus(exitUsage, err)
	}
	return o.conn.ask(func(c *client.Client) error {
		err := o.watch(ctx, c, out)
		if errors.Is(err, context.Canceled) && o.times == 0 {
			return nil // how it is meant to end
		}
		return err
	})
}

func (o *topOptions) watch(ctx context.Context, c *client.Client, out io.Writer) error {
	before, err := look(ctx, c)
	if err != nil {
		return err
	}
	ticks := time.NewTicker(o.interval)
	defer ticks.Stop()
	for n := 1; ; n++ {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-ticks.C:
		}
		now, err := look(ctx, c)
		if err != nil {
			return err
		}
		if err := o.show(out, compare(before, now), n == 1); err != nil {
			return err
		}
		if n == o.times {
			return nil
		}
		before = now
	}
}

func (o *topOptions) show(out io.Writer, r *rates, first bool) error {
	if o.output == formJSON {
		return json.NewEncoder(out).Encode(r)
	}
	r.sort(o.order)
	var b bytes.Buffer
	r.print(&b)
	text := b.Bytes()
	if f, ok := out.(*os.File); ok && isTerminal(f) {
		text = inPlace(text, f)
	} else if !first {
		text = append([]byte("\n"), text...)
	}
	_, err := out.Write(text)
	return err
}

// inPlace writes over what a terminal shows, as far as it fits.
func inPlace(text []byte, f *os.File) []byte {
	rows, columns := math.MaxInt, math.MaxInt
	if width, height, err := term.GetSize(int(f.Fd())); err == nil && height > 1 {
		rows, columns = height-1, width
	}
	return onScreen(text, rows, columns)
}

func onScreen(text []byte, rows, columns int) []byte {
	b := []byte("\x1b[H")
	n := 0
	for line := range bytes.Lines(text) {
		if n++; n > rows {
			break
		}
		line = bytes.TrimRight(line, "\n")
		b = append(b, line[:min(len(line), columns)]...)
		b = append(b, "\x1b[K\n"...)
	}
	return append(b, "\x1b[J"...)
}

// sample is what a node has counted at a time.
type sample struct {
	at      time.Time
	status  api.Status
	ports   []api.PortView
	workers []api.WorkerView
}

func look(ctx context.Context, c *client.Client) (*sample, error) {
	s := &sample{at: time.Now()}
	var err error
	if s.ports, _, err = client.List[api.PortView](ctx, c, "ports", api.Filter{}); err != nil {
		return nil, err
	}
	if s.workers, _, err = client.List[api.WorkerView](ctx, c, "workers", api.Filter{}); err != nil {
		return nil, err
	}
	s.status, err = c.Status(ctx)
	return s, err
}

// rates are two samples compared; all but what has its own unit is per second.
type rates struct {
	Interval     float64      `json:"intervalSeconds"`
	Revision     uint64       `json:"revision"`
	Sessions     int          `json:"sessions"` // live
	NewSessions  float64      `json:"newSessions"`
	BuffersInUse int          `json:"buffersInUse"`
	Buffers      int          `json:"buffers"`
	Ports        []portRate   `json:"ports"`
	Workers      []workerRate `json:"workers"`
}

type portRate struct {
	Name        string             `json:"name"`
	State       api.PortState      `json:"state"`
	RxPackets   float64            `json:"rxPackets"`
	RxBits      float64            `json:"rxBits"`
	TxPackets   float64            `json:"txPackets"`
	TxBits      float64            `json:"txBits"`
	Dropped     float64            `json:"dropped"`
	Drops       map[string]float64 `json:"drops,omitempty"` // by reason
	KernelDrops float64            `json:"kernelDrops"`
}

type workerRate struct {
	ID              int     `json:"id"`
	BusyShare       float64 `json:"busyShare"` // 0 to 1
	Frames          float64 `json:"frames"`
	FramesPerVector float64 `json:"framesPerVector"`
	Sleeps          float64 `json:"sleeps"`
}

// compare makes rates of two samples. What is only in the newer one began at 0, and so
// did a count that has become smaller: it is another port's.
func compare(before, now *sample) *rates {
	seconds := now.at.Sub(before.at).Seconds()
	rate := func(was, is uint64) float64 {
		if is < was {
			was = 0
		}
		return float64(is-was) / seconds
	}
	st := &now.status
	r := &rates{
		Interval: seconds, Revision: st.Revision, Sessions: st.Sessions.Live,
		NewSessions:  rate(before.status.Sessions.Created, st.Sessions.Created),
		BuffersInUse: st.Memory.BuffersInUse, Buffers: st.Memory.Buffers,
		Ports: make([]portRate, 0, len(now.ports)), Workers: make([]workerRate, 0, len(now.workers)),
	}
	ports := make(map[string]*api.PortView, len(before.ports))
	for i := range before.ports {
		ports[before.ports[i].Name] = &before.ports[i]
	}
	for i := range now.ports {
		is := &now.ports[i]
		was := ports[is.Name]
		if was == nil || was.Number != is.Number {
			was = &api.PortView{}
		}
		p := portRate{
			Name: is.Name, State: is.State,
			RxPackets: rate(was.Rx.Packets, is.Rx.Packets), RxBits: 8 * rate(was.Rx.Bytes, is.Rx.Bytes),
			TxPackets: rate(was.Tx.Packets, is.Tx.Packets), TxBits: 8 * rate(was.Tx.Bytes, is.Tx.Bytes),
			Dropped: rate(was.Dropped, is.Dropped), KernelDrops: rate(was.Device.KernelDrops, is.Device.KernelDrops),
		}
		for reason, count := range is.Drops {
			if x := rate(was.Drops[reason], count); x > 0 {
				if p.Drops == nil {
					p.Drops = map[string]float64{}
				}
				p.Drops[reason] = x
			}
		}
		r.Ports = append(r.Ports, p)
	}
	for i := range now.workers {
		var was api.WorkerView
		if i < len(before.workers) {
			was = before.workers[i]
		}
		is := &now.workers[i]
		w := workerRate{
			ID: is.ID, BusyShare: min(max(is.BusySeconds-was.BusySeconds, 0)/seconds, 1),
			Frames: rate(was.Frames, is.Frames), Sleeps: rate(was.Sleeps, is.Sleeps),
		}
		if vectors := rate(was.Vectors, is.Vectors); vectors > 0 {
			w.FramesPerVector = w.Frames / vectors
		}
		r.Workers = append(r.Workers, w)
	}
	return r
}

func (r *rates) sort(order string) {
	by := map[string]func(*portRate) float64{
		"rx": func(p *portRate) float64 { return p.RxBits }, "tx": func(p *portRate) float64 { return p.TxBits },
		"drops": func(p *portRate) float64 { return p.Dropped + p.KernelDrops },
	}[order]
	if by == nil {
		return // the daemon's order, by name
	}
	slices.SortStableFunc(r.Ports, func(a, b portRate) int { return cmp.Compare(by(&b), by(&a)) })
}

func (r *rates) print(w io.Writer) {
	up := 0
	for i := range r.Ports {
		if r.Ports[i].State == api.PortUp {
			up++
		}
	}
	fmt.Fprintf(w, "revision %d   ports %d of %d up   sessions %d, %s new/s   buffers %d of %d\n\n",
		r.Revision, up, len(r.Ports), r.Sessions, short(r.NewSessions), r.BuffersInUse, r.Buffers)
	// What is printed goes to a buffer, which takes all.
	_ = printTable(&screen{w: w}, []column[workerRate]{
		{"WORKER", false, func(x *workerRate) string { return number(x.ID) }},
		{"BUSY", false, func(x *workerRate) string { return percent(x.BusyShare) }},
		{"FRAMES/S", false, func(x *workerRate) string { return short(x.Frames) }},
		{"FRAMES/VECTOR", false, func(x *workerRate) string { return fmt.Sprintf("%.1f", x.FramesPerVector) }},
		{"SLEEPS/S", false, func(x *workerRate) string { return short(x.Sleeps) }},
	}, false, r.Workers)
	fmt.Fprintln(w)
	_ = printTable(&screen{w: w}, []column[portRate]{
		{"PORT", false, func(p *portRate) string { return p.Name }},
		{"STATE", false, func(p *portRate) string { return string(p.State) }},
		{"RX-PPS", false, func(p *portRate) string { return short(p.RxPackets) }},
		{"RX-BIT/S", false, func(p *portRate) string { return short(p.RxBits) }},
		{"TX-PPS", false, func(p *portRate) string { return short(p.TxPackets) }},
		{"TX-BIT/S", false, func(p *portRate) string { return short(p.TxBits) }},
		{"DROPS/S", false, func(p *portRate) string { return short(p.Dropped) }},
		{"KERNEL-DROPS/S", false, func(p *portRate) string { return short(p.KernelDrops) }},
		{"REASONS", false, rateReasons},
	}, false, r.Ports)
}

func rateReasons(p *portRate) string {
	names := make([]string, 0, len(p.Drops))
	for reason := range p.Drops {
		names = append(names, reason)
	}
	slices.SortFunc(names, func(a, b string) int {
		return cmp.Or(cmp.Compare(p.Drops[b], p.Drops[a]), cmp.Compare(a, b))
	})
	for i, reason := range names {
		names[i] = reason + ":" + short(p.Drops[reason])
	}
	return strings.Join(names, ",")
}

// short writes a rate with three digits and a decimal prefix: 0, 0.25, 12.3, 1.05k, 14.2M.
func short(x float64) string {
	prefixes := []string{"", "k", "M", "G", "T"}
	i := 0
	for x >= 999.5 && i < len(prefixes)-1 {
		x /= 1000
		i++
	}
	digits := 0
	switch {
	case x == math.Trunc(x) && i == 0:
	case x < 9.995:
		digits = 2
	case x < 99.95:
		digits = 1
	}
	return strconv.FormatFloat(x, 'f', digits, 64) + prefixes[i]
}
