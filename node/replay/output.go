package replay

import (
	"bufio"
	"cmp"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/sluice-net/sluice/dataplane"
	"github.com/sluice-net/sluice/export"
	"github.com/sluice-net/sluice/flowtable"
	"github.com/sluice-net/sluice/node"
	"github.com/sluice-net/sluice/node/dfwlog"
	"github.com/sluice-net/sluice/packet"
)

// Drop is a line of drops.jsonl.
type Drop struct {
	Time      string      `json:"time"`
	Port      string      `json:"port"`
	Frame     int64       `json:"frame"` // index in its capture, from 0; -1 for frames made here
	Reason    string      `json:"reason"`
	Component string      `json:"component"`
	Rule      uint32      `json:"rule"` // 0: no rule
	Revision  uint64      `json:"revision"`
	Src       *netip.Addr `json:"src"` // null if the frame is not IP, or was not read so far
	Dst       *netip.Addr `json:"dst"`
	Protocol  string      `json:"protocol"`
	Sport     uint16      `json:"sport"`
	Dport     uint16      `json:"dport"`
	Service   string      `json:"service,omitempty"` // the virtual server that listens where it was to go
}

// output collects what a replay has to say. It is the engine's tap for drops.
type output struct {
	run *run
	dir string // empty: nothing is written

	drops    *bufio.Writer
	dropFile *os.File
	err      error // first failure to write drops

	records []flowtable.Record
	refused map[packet.Index]uint32 // frames that are about to be dropped, and the rules that say so
	denied  denials

	firewall     *dfwlog.Writer
	firewallFile *os.File
	firewallText *bufio.Writer

	owners   map[owner]export.Endpoint
	scopes   map[packet.Zone]uint32
	services *node.ServiceNames
}

// owner is an address in the address space of a router's segments.
type owner struct {
	scope uint32
	ip    netip.Addr
}

func newOutput(dir string, r *run) (*output, error) {
	o := &output{run: r, dir: dir, drops: bufio.NewWriter(io.Discard), refused: map[packet.Index]uint32{}, owners: map[owner]export.Endpoint{}}
	if dir != "" {
		f, err := os.Create(filepath.Join(dir, "drops.jsonl"))
		if err != nil {
			return nil, err
		}
		o.dropFile, o.drops = f, bufio.NewWriterSize(f, 1<<16)
	}
	o.findOwners()
	return o, nil
}

// openFirewallLog makes the file that logged rules write to; it is empty if none does.
func (o *output) openFirewallLog(r *run) (err error) {
	o.firewallText = bufio.NewWriter(io.Discard)
	if o.dir != "" {
		if o.firewallFile, err = os.Create(filepath.Join(o.dir, "firewall.log")); err != nil {
			return err
		}
		o.firewallText.Reset(o.firewallFile)
	}
	o.firewall = dfwlog.New(dfwlog.Config{
		Log: r.node.FirewallLog(), Out: o.firewallText, WallClock: r.clock.capture, Keep: 1,
		Port: func(number uint16) string {
			if p := r.engine.Snapshot().Port(number); p != nil {
				return p.Name
			}
			return ""
		},
	})
	return nil
}

// AfterStage is of no interest here.
func (o *output) AfterStage(*dataplane.Worker, *dataplane.Vector, string) {}

// AfterStep notes the rule that has refused a frame.
func (o *output) AfterStep(d *dataplane.Decision, _ string) {
	switch d.Dropped() {
	case packet.PolicyDenied, packet.PolicyRejected, packet.RuleLimit:
		rule := d.Permit.IngressRule
		if rule == 0 { // it was not asked: the sender's port has refused it
			rule = d.Permit.EgressRule
		}
		o.refused[d.Buf] = rule
	}
}

// Sent is of no interest here: ports write their own captures.
func (o *output) Sent(*dataplane.Worker, uint16, packet.Index) {}

// Dropped writes a line of drops.jsonl.
func (o *output) Dropped(w *dataplane.Worker, b packet.Index, in *packet.Info, r packet.Reason) {
	meta, port := w.Arena().Meta(b), ""
	if p := w.Snapshot().Port(meta.InPort); p != nil {
		port = p.Name
	}
	frame := w.Arena().Frame(b)
	var own packet.Info
	if in == nil {
		in = &own
		packet.Parse(frame, in)
	}
	rule := o.refused[b]
	delete(o.refused, b)
	if rule != 0 {
		o.deny(meta.InPort, rule, in, r, len(frame))
	}
	o.drop(port, int64(meta.Mark)-1, frame, in, r, rule)
}

// drop writes a line about frame number index of a port's capture.
func (o *output) drop(port string, index int64, frame []byte, in *packet.Info, r packet.Reason, rule uint32) {
	if o.dir == "" || o.err != nil {
		return
	}
	d := Drop{
		Time: export.Time(o.run.clock.last), Port: port, Frame: index,
		Reason: r.String(), Component: r.Component(), Rule: rule, Revision: o.run.config.Model.Revision,
	}
	if in.Has(packet.IsIP) {
		key := in.Key
		if in.Has(packet.ICMPError) {
			// The packet's own, not those of what it quotes.
			key.Src, key.Dst = packet.Addresses(frame, in)
		} else {
			d.Service = o.services.At(o.scopes[key.Zone()], key.Dst, in.Proto, key.DstPort())
		}
		src, dst := key.Src.Netip(), key.Dst.Netip()
		d.Src, d.Dst = &src, &dst
		d.Protocol = export.ProtocolName(in.Proto)
		if in.Proto != packet.ProtoICMP && in.Proto != packet.ProtoICMPv6 {
			d.Sport, d.Dport = key.SrcPort(), key.DstPort()
		}
	}
	line, err := json.Marshal(d)
	if err == nil {
		_, err = o.drops.Write(append(line, '\n'))
	}
	o.err = err
}

// collect takes the records of sessions that have ended.
func (o *output) collect(e *dataplane.Engine) {
	var r flowtable.Record
	for i := range e.Workers() {
		for e.Worker(i).Flows().Records().Pop(&r) {
			o.records = append(o.records, r)
		}
	}
}

// sortRecords puts records into an order that does not depend on the numbers
// of sessions or workers.
func (o *output) sortRecords() {
	key := func(a, b *packet.Key) int {
		return cmp.Or(cmp.Compare(a.Tail, b.Tail), slices.Compare(a.Src[:], b.Src[:]), slices.Compare(a.Dst[:], b.Dst[:]))
	}
	slices.SortFunc(o.records, func(a, b flowtable.Record) int {
		return cmp.Or(cmp.Compare(a.End, b.End), cmp.Compare(a.Start, b.Start), key(&a.Keys[0], &b.Keys[0]), key(&a.Keys[1], &b.Keys[1]))
	})
}

// findOwners prepares the names of flow endpoints.
func (o *output) findOwners() {
	m := o.run.config.Model
	o.services = node.NewServiceNames(m)
	o.scopes = map[packet.Zone]uint32{}
	for i := range m.Segments {
		o.scopes[packet.Zone(m.Segments[i].Zone)] = m.Segments[i].Scope
	}
	for i := range m.Routers {
		for _, u := range m.Routers[i].Uplinks {
			o.scopes[packet.Zone(u.Zone)] = u.Scope
		}
	}
	for i := range m.Ports {
		p := m.Ports[i]
		e := export.Endpoint{Namespace: p.Namespace, PodName: strings.TrimPrefix(p.Name, p.Namespace+"/")}
		for _, k := range slices.Sorted(maps.Keys(p.Labels)) {
			e.Labels = append(e.Labels, k+"="+p.Labels[k])
		}
		if p.Segment < 0 {
			continue
		}
		for _, a := range p.Addresses {
			o.owners[owner{m.Segments[p.Segment].Scope, a.IP}] = e
		}
	}
}

// write writes flows.jsonl and report.json and closes what is open.
func (o *output) write(report *Report) error {
	errs := []error{o.err}
	for _, p := range o.run.ports {
		errs = append(errs, p.device.Err())
		if p.file != nil {
			errs = append(errs, p.file.Close())
			p.file = nil
		}
	}
	o.firewall.Drain()
	errs = append(errs, o.drops.Flush(), o.firewallText.Flush())
	if o.firewallFile != nil {
		errs = append(errs, o.firewallFile.Close())
	}
	if o.dropFile != nil {
		errs = append(errs, o.dropFile.Close())
	}
	if o.dir != "" {
		errs = append(errs, o.writeFlows(), writeFile(filepath.Join(o.dir, "report.json"), report.write))
	}
	return errors.Join(errs...)
}

func (o *output) writeFlows() error {
	o.sortRecords()
	log := export.FlowLog{
		WallClock: o.run.clock.capture, Revision: o.run.config.Model.Revision,
		Endpoint: func(z packet.Zone, ip netip.Addr) export.Endpoint { return o.owners[owner{o.scopes[z], ip}] },
		Bound:    o.services.Bound,
	}
	return writeFile(filepath.Join(o.dir, "flows.jsonl"), func(w io.Writer) error {
		lines := json.NewEncoder(w)
		for i := range o.records {
			if err := lines.Encode(log.Flow(&o.records[i])); err != nil {
				return err
			}
		}
		for _, d := range o.denied.sorted() {
			if err := lines.Encode(log.Denied(d)); err != nil {
				return err
			}
		}
		return nil
	})
}

func writeFile(path string, write func(io.Writer) error) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	b := bufio.NewWriterSize(f, 1<<16)
	return errors.Join(write(b), b.Flush(), f.Close())
}
