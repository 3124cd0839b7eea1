package replay

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/sluice-net/sluice/packet"
	"github.com/sluice-net/sluice/port/pcap"
)

// AnyPort as an Input's port gives each frame to the port that owns its source
// MAC address, else its source IP address, else the port named UplinkPort.
const AnyPort = "*"

// UplinkPort is where frames of unknown senders enter.
const UplinkPort = "uplink"

// Input is a capture and the port it is fed to.
type Input struct {
	Port string // a port's name, or AnyPort
	File string
}

// feed is an open Input with its next frame.
type feed struct {
	Input
	reader *pcap.Reader
	frame  pcap.Frame
	more   bool
	err    error // what ended it early; nil at a proper end
}

// feeds merges captures by time; of equal times the earlier input comes first.
type feeds struct {
	all []*feed
}

// open opens all inputs, or none.
func open(inputs []Input) (*feeds, error) {
	f := &feeds{}
	var errs []error
	for _, in := range inputs {
		r, err := pcap.Open(in.File)
		if err != nil {
			errs = append(errs, fmt.Errorf("--in %s=%s: %w", in.Port, in.File, err))
			continue
		}
		f.all = append(f.all, &feed{Input: in, reader: r})
	}
	if err := errors.Join(errs...); err != nil {
		f.close()
		return nil, err
	}
	for _, one := range f.all {
		one.advance()
	}
	return f, nil
}

func (f *feeds) close() {
	for _, one := range f.all {
		_ = one.reader.Close() // it was only read
	}
}

// advance reads a feed's next frame.
func (f *feed) advance() {
	err := f.reader.Next(&f.frame)
	f.more = err == nil
	if err != nil && err != io.EOF {
		f.err = err
	}
}

// next returns the feed whose frame is due first, or nil at the end of all.
func (f *feeds) next() (first *feed) {
	for _, one := range f.all {
		if one.more && (first == nil || one.frame.Time < first.frame.Time) {
			first = one
		}
	}
	return first
}

// errs returns what ended captures early.
func (f *feeds) errs() error {
	var errs []error
	for _, one := range f.all {
		if one.err != nil {
			errs = append(errs, one.err)
		}
	}
	return errors.Join(errs...)
}

// Refused are frames of a capture that were not replayed: their link layer is
// not carried by the switch.
type Refused struct {
	File     string `json:"file"`
	LinkType string `json:"linkType"`
	Frames   int64  `json:"frames"`
}

func (f *feeds) refused() (all []Refused) {
	for _, one := range f.all {
		for _, r := range one.reader.Refusals() {
			all = append(all, Refused{one.File, r.LinkType.String(), r.Frames})
		}
	}
	slices.SortFunc(all, func(a, b Refused) int {
		return cmp.Or(cmp.Compare(a.File, b.File), cmp.Compare(a.LinkType, b.LinkType))
	})
	return all
}

// owners finds the port that a frame of AnyPort belongs to.
type owners struct {
	byMAC  map[packet.MAC]string
	byIP   map[packet.Addr]string
	uplink string // empty if there is no such port
}

// of returns the port's name; empty if nobody owns the frame.
func (o *owners) of(frame []byte) string {
	if len(frame) >= packet.EthernetSize {
		if name, found := o.byMAC[packet.MAC(frame[6:12])]; found {
			return name
		}
	}
	var in packet.Info
	if packet.Parse(frame, &in) == packet.None && in.Has(packet.IsIP) && !in.Has(packet.ICMPError) {
		if name, found := o.byIP[in.Key.Src]; found {
			return name
		}
	}
	return o.uplink
}
