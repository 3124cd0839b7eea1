// Package reply tells senders and ends of sessions what rules and services have done to
// their packets: rejections and resets.
package reply

import (
	"sync/atomic"

	"github.com/sluice-net/sluice/dataplane"
	"github.com/sluice-net/sluice/dataplane/answer"
	"github.com/sluice-net/sluice/packet"
)

// Rejector answers packets that a rule rejects, or that a service has nobody for. It lives as long as the node; all workers share it.
type Rejector struct {
	limit *answer.Limit

	resets, errors, limited, silent atomic.Uint64
}

// NewRejector makes a Rejector whose answers count against a limit, which is the node's for
// all ICMP errors.
func NewRejector(limit *answer.Limit) *Rejector { return &Rejector{limit: limit} }

// RejectStats are counts since the Rejector was made.
type RejectStats struct {
	Resets  uint64 // TCP resets sent
	Errors  uint64 // ICMP errors sent
	Limited uint64 // not sent for want of a token
	Silent  uint64 // packets that get no answer: errors, fragments, groups, damaged ones; or there was no buffer
}

// Stats returns the counts.
func (r *Rejector) Stats() RejectStats {
	return RejectStats{
		Resets: r.resets.Load(), Errors: r.errors.Load(), Limited: r.limited.Load(), Silent: r.silent.Load(),
	}
}

// Reject tells the sender of the packet in hand that it does not pass, unless there are reasons not to: TCP by
// a reset, all else by an ICMP error. It reports whether the sender was told. The
// frame stays as it is, and still has to be dropped.
//
// The answer comes from whom the packet was for, by IP and by MAC address, also if the packet was to be
// routed: rules belong to ports, which know of no router, and a segment need not have one. A sender's
// stack takes an ICMP error from whoever sends it, for it goes by what is quoted; its own packet filter takes
// it for an answer of the peer. nftables' reject does the same on bridges.
func (r *Rejector) Reject(d *dataplane.Decision, as answer.Error) (told bool) {
	frame, in := d.Frame(), d.Info
	out, found := answer.Toward(d.In, d.Zone)
	switch {
	case !found, in.Proto == packet.ProtoIGMP, in.Has(packet.BadIPChecksum), isReset(in), !answer.Answerable(frame, in):
		r.silent.Add(1)
		return false
	case !r.limit.Take(d.In.Number, d.Now):
		r.limited.Add(1)
		return false
	case !intact(frame, d.Meta(), in):
		// A receiver would not have seen it either. After the limit: summing costs more than all else.
		r.silent.Add(1)
		return false
	}
	src, dst := packet.Addresses(frame, in)
	e := answer.To(frame, dst, src)
	sent := &r.errors
	if in.Proto == packet.ProtoTCP {
		sent = &r.resets
		told = sendReset(d.W, &e, out, d.In.Number, resetOf(frame, in))
	} else {
		ip := frame[in.L3 : uint32(in.L3)+in.IPLen]
		told = answer.SendError(d.W, &e, out, d.In.Number, as, 0, ip)
	}
	if !told {
		sent = &r.silent
	}
	sent.Add(1)
	return told
}

// isReset reports whether a packet is a TCP reset, or TCP that cannot be read.
func isReset(in *packet.Info) bool {
	return in.Proto == packet.ProtoTCP && (!in.Has(packet.HasPorts) || in.TCPFlags&packet.TCPRst != 0)
}

// intact reports whether a packet's payload is as it was sent, as far as can be told: the checksum is
// right, or left to devices, or covers fragments that are not here.
func intact(frame []byte, meta *packet.Meta, in *packet.Info) bool {
	return meta.CsumPartial || meta.CsumValid || meta.GSOType != packet.GSONone || in.Has(packet.IsFragment) ||
		packet.VerifyTransport(frame, int(in.L3), int(in.L4), int(in.IPLen), in.Proto)
}

// resetOf returns the reset that answers a segment (RFC 9293 section 3.10.7.1, state CLOSED). A
// super-frame is one long segment; of a fragmented one the length is what there is of it.
func resetOf(frame []byte, in *packet.Info) packet.TCPFields {
	segment := packet.TCP(frame[in.L4 : uint32(in.L3)+in.IPLen])
	rst := packet.TCPFields{SrcPort: segment.DstPort(), DstPort: segment.SrcPort(), Flags: packet.TCPRst}
	flags := segment.Flags()
	if flags&packet.TCPAck != 0 {
		rst.Seq = segment.Ack()
		return rst
	}
	rst.Flags |= packet.TCPAck
	rst.Ack = segment.Seq() + uint32(max(len(segment)-segment.HeaderLen(), 0))
	if flags&packet.TCPSyn != 0 {
		rst.Ack++
	}
	if flags&packet.TCPFin != 0 {
		rst.Ack++
	}
	return rst
}

// sendReset sends a TCP header with e around it, on account of port in. It reports false if there is no buffer.
func sendReset(w *dataplane.Worker, e *answer.Envelope, out dataplane.FloodTarget, in uint16, rst packet.TCPFields) bool {
	e.Proto = packet.ProtoTCP
	b, header := e.Generate(w, in, packet.TCPMinSize)
	if b == 0 {
		return false
	}
	rst.Put(header)
	e.Send(w, out, b)
	return true
}
