package export

import (
	"hash/fnv"
	"net/netip"
	"strconv"
	"time"

	"github.com/sluice-net/sluice/flowtable"
	"github.com/sluice-net/sluice/packet"
)

// FirewallLine is a line of the firewall's log, in the shape of NSX's dfwpktlogs:
//
//	TIME FILTER INET match PASS SET/RULE IN LEN TCP SRC/PORT->DST/PORT FLAGS [TAG]
//	TIME FILTER INET TERM PASS SET/RULE IN 0 TCP FIN SRC/PORT->DST/PORT IN/OUT IN/OUT [TAG]
//	TIME FILTER INET match DROP SET/RULE IN BYTES MORE N TCP SRC/PORT->DST/PORT FLAGS [TAG]
//	TIME 00000000 LOST N
//
// The second is the end of a session: RST, FIN or TIMEOUT, packets and bytes to the workload and from it.
// The third stands for N packets that were not written one by one, of which the addresses are the latest's. The fourth says how
// many lines could not be written. The address family is INET, INET6, or ETHER for a frame that is not IP, with
// its EtherType and MAC addresses; protocols are TCP, UDP, ICMP (also for ICMPv6) and PROTO with a number.
type FirewallLine struct {
	Time   int64  // Unix, ns
	Filter string // FilterHash of the port's name
	Lost   uint64 // if not 0, the line says no more than that

	Reason string // match, or why else; TERM for an end. See FirewallReason
	Action string // PASS, DROP, REJECT
	Set    string // what the rule is in; one word in the log
	Rule   uint32
	Out    bool   // OUT, from the workload; else IN
	Length uint32 // of the IP packet or the frame; of all that More stands for; 0 of an end
	More   uint32 // packets that it stands for, 0 for one

	Src, Dst  netip.AddrPort // port 0 if the protocol has none; invalid if it is no IP packet
	Protocol  uint8
	Flags     uint8 // of TCP; valid iff it is no end
	EtherType uint16
	SrcMAC    packet.MAC // valid iff Src is not
	DstMAC    packet.MAC

	End     string    // RST, FIN or TIMEOUT; empty: no end
	Packets [2]uint64 // of the session, to the workload and from it
	Bytes   [2]uint64 // likewise; whole frames, without FCS

	Tag string // of the rule
}

// Words of the log.
const (
	FirewallMatch = "match"
	FirewallTerm  = "TERM"

	FirewallPass   = "PASS"
	FirewallDrop   = "DROP"
	FirewallReject = "REJECT"

	noFilter = "00000000" // of lines that are about no port
)

// FilterHash returns what stands for a port in the log: eight hexadecimal digits that follow from its name alone.
func FilterHash(port string) string {
	h := fnv.New32a()
	_, _ = h.Write([]byte(port))
	const digits = 8
	s := strconv.FormatUint(uint64(h.Sum32()), 16)
	return noFilter[:digits-len(s)] + s
}

// firewallReasons are NSX's words for reasons why packets are dropped. Others keep their own names.
var firewallReasons = map[packet.Reason]string{
	packet.None:           FirewallMatch,
	packet.PolicyDenied:   FirewallMatch,
	packet.PolicyRejected: FirewallMatch,

	packet.FragmentTiny:    "fragment",
	packet.FragmentNoFirst: "fragment",
	packet.FragmentLimit:   "fragment",
	packet.FragmentOverlap: "fragment",

	packet.FrameTooShort:   "short",
	packet.TruncatedHeader: "short",

	packet.InvalidHeader:    "normalize",
	packet.InvalidExtension: "normalize",

	packet.InvalidIPChecksum: "proto-cksum",

	packet.SessionInvalid:   "state-mismatch",
	packet.SessionUnrelated: "state-mismatch",

	packet.SessionTableFull: "memory",
	packet.NoBuffer:         "memory",

	packet.SourceLimit: "state-limit",
	packet.RuleLimit:   "state-limit",
	packet.FloodLimit:  "state-limit",

	packet.SpoofGuard:       "SpoofGuard",
	packet.MACConflict:      "SpoofGuard",
	packet.InvalidSourceMAC: "SpoofGuard",
	packet.InvalidSourceIP:  "SpoofGuard",
}

// FirewallReason returns the words of the log for what became of a packet: dropped for a reason, or passed
// if that is None.
func FirewallReason(r packet.Reason) (reason, action string) {
	reason, known := firewallReasons[r]
	if !known {
		reason = r.String()
	}
	switch r {
	case packet.None:
		return reason, FirewallPass
	case packet.PolicyRejected:
		return reason, FirewallReject
	}
	return reason, FirewallDrop
}

// FirewallEnd returns the word of the log for why a session ended, of which NSX has three. What the
// node itself has ended counts as reset if that was for the session's sake, and as a timeout if it made room.
func FirewallEnd(r flowtable.EndReason) string {
	switch r {
	case flowtable.EndFIN:
		return "FIN"
	case flowtable.EndRST, flowtable.EndPolicy, flowtable.EndMember, flowtable.EndCleared:
		return "RST"
	}
	return "TIMEOUT"
}

// Append appends the line, with a newline.
func (l *FirewallLine) Append(b []byte) []byte {
	b = time.Unix(0, l.Time).UTC().AppendFormat(b, time.RFC3339Nano)
	b = append(b, ' ')
	if l.Lost != 0 {
		b = append(b, noFilter+" LOST "...)
		return append(strconv.AppendUint(b, l.Lost, 10), '\n')
	}
	b = append(append(b, l.Filter...), ' ')
	b = append(append(b, l.family()...), ' ')
	b = append(append(b, l.Reason...), ' ')
	b = append(append(b, l.Action...), ' ')
	b = append(appendWord(b, l.Set), '/')
	b = strconv.AppendUint(b, uint64(l.Rule), 10)
	b = append(append(b, ' '), directionWord(l.Out)...)
	b = strconv.AppendUint(append(b, ' '), uint64(l.Length), 10)
	if l.More != 0 {
		b = strconv.AppendUint(append(b, " MORE "...), uint64(l.More), 10)
	}
	b = l.appendFlow(append(b, ' '))
	if l.Tag != "" {
		b = appendWord(append(b, ' '), l.Tag)
	}
	return append(b, '\n')
}

// appendFlow appends what the line is about: protocol, addresses, flags or counts.
func (l *FirewallLine) appendFlow(b []byte) []byte {
	b = l.appendProtocol(b)
	if l.End != "" {
		b = append(append(b, ' '), l.End...)
	}
	b = append(b, ' ')
	if l.Src.IsValid() {
		b = l.appendAddr(b, l.Src)
		b = append(b, "->"...)
		b = l.appendAddr(b, l.Dst)
	} else {
		b = append(b, l.SrcMAC.String()+"->"+l.DstMAC.String()...)
	}
	switch {
	case l.End != "":
		for _, n := range [...][2]uint64{l.Packets, l.Bytes} {
			b = strconv.AppendUint(append(b, ' '), n[0], 10)
			b = strconv.AppendUint(append(b, '/'), n[1], 10)
		}
	case l.Src.IsValid() && l.Protocol == packet.ProtoTCP:
		b = appendTCPFlags(append(b, ' '), l.Flags)
	}
	return b
}

func (l *FirewallLine) appendProtocol(b []byte) []byte {
	if !l.Src.IsValid() {
		return strconv.AppendUint(append(b, "PROTO 0x"...), uint64(l.EtherType), 16)
	}
	switch {
	case l.Protocol == packet.ProtoTCP:
		return append(b, "TCP"...)
	case l.Protocol == packet.ProtoUDP:
		return append(b, "UDP"...)
	case l.Protocol == icmpOf(l.Src.Addr()):
		return append(b, "ICMP"...)
	}
	return strconv.AppendUint(append(b, "PROTO "...), uint64(l.Protocol), 10)
}

func (l *FirewallLine) appendAddr(b []byte, a netip.AddrPort) []byte {
	b = a.Addr().AppendTo(b)
	if hasPorts(l.Protocol) {
		b = strconv.AppendUint(append(b, '/'), uint64(a.Port()), 10)
	}
	return b
}

func (l *FirewallLine) family() string {
	switch {
	case !l.Src.IsValid():
		return "ETHER"
	case l.Src.Addr().Is4():
		return "INET"
	}
	return "INET6"
}

// icmpOf returns the number of the ICMP of an address's version.
func icmpOf(a netip.Addr) uint8 {
	if a.Is4() {
		return packet.ProtoICMP
	}
	return packet.ProtoICMPv6
}

// hasPorts reports whether lines about a protocol have ports.
func hasPorts(proto uint8) bool {
	return proto == packet.ProtoTCP || proto == packet.ProtoUDP || proto == packet.ProtoSCTP
}

func directionWord(out bool) string {
	if out {
		return "OUT"
	}
	return "IN"
}

// tcpFlagLetters are pf's, by bit.
const tcpFlagLetters = "FSRPAUEW"

// appendTCPFlags appends the letters of flags; a segment with none has a hyphen.
func appendTCPFlags(b []byte, flags uint8) []byte {
	if flags == 0 {
		return append(b, '-')
	}
	for i := range len(tcpFlagLetters) {
		if flags>>i&1 != 0 {
			b = append(b, tcpFlagLetters[i])
		}
	}
	return b
}

// appendWord appends what users have named, as one word: blanks and control characters become underscores, and nothing
// becomes a hyphen.
func appendWord(b []byte, s string) []byte {
	if s == "" {
		return append(b, '-')
	}
	for _, c := range []byte(s) {
		if c <= ' ' || c == 0x7f {
			c = '_'
		}
		b = append(b, c)
	}
	return b
}
