package flowtable

import (
	"errors"
	"fmt"
)

// Timers say how long a session without packets is kept, in seconds, by the
// state it is in. Names and defaults are those of an NSX
// PolicyFirewallSessionTimerProfile, whose meaning is pf's (pf.conf(5),
// "set timeout"). Every state has exactly one timer:
//
//	tcp_first_packet   SYN_SENT: the first packet only
//	tcp_opening        SYN_SENT2, SYN_RECV; PICKED_UP: the peer has not answered yet
//	tcp_established    ESTABLISHED
//	tcp_closing        FIN_WAIT, CLOSE_WAIT: one end has sent its FIN
//	tcp_finwait        LAST_ACK: both have, not both are acknowledged
//	tcp_closed         TIME_WAIT, CLOSED: both are acknowledged, or one end sent a RST
//	udp_first_packet   UDP FIRST
//	udp_single         UDP SINGLE: several packets one way, none back
//	udp_multiple       UDP MULTIPLE: packets both ways
//	icmp_first_packet  ICMP FIRST and REPLIED
//	icmp_error_reply   ICMP ERROR: an error came back for the query
//
// SCTP and the protocols without states of their own have no timers in that
// profile and borrow: SCTP the TCP timer of the like-named phase (COOKIE_WAIT
// and HEARTBEAT_SENT tcp_first_packet, COOKIE_ECHOED tcp_opening, ESTABLISHED
// tcp_established, SHUTDOWN_SENT and SHUTDOWN_RECD tcp_closing,
// SHUTDOWN_ACK_SENT tcp_finwait, CLOSED tcp_closed), all others the UDP ones
// (OTHER_FIRST, OTHER_SINGLE, OTHER_MULTIPLE).
type Timers struct {
	TCPFirstPacket  int64 `json:"tcp_first_packet"`
	TCPOpening      int64 `json:"tcp_opening"`
	TCPEstablished  int64 `json:"tcp_established"`
	TCPClosing      int64 `json:"tcp_closing"`
	TCPFinWait      int64 `json:"tcp_finwait"`
	TCPClosed       int64 `json:"tcp_closed"`
	UDPFirstPacket  int64 `json:"udp_first_packet"`
	UDPSingle       int64 `json:"udp_single"`
	UDPMultiple     int64 `json:"udp_multiple"`
	ICMPFirstPacket int64 `json:"icmp_first_packet"`
	ICMPErrorReply  int64 `json:"icmp_error_reply"`
}

// Bounds of every timer, in seconds. NSX takes 10 to 4320000; below that,
// down to 1, is for tests of policies on short captures.
const (
	MinTimer = 1
	MaxTimer = 4320000 // 50 days
)

// DefaultTimers returns NSX's default profile.
func DefaultTimers() Timers {
	return Timers{
		TCPFirstPacket:  120,
		TCPOpening:      30,
		TCPEstablished:  43200,
		TCPClosing:      120,
		TCPFinWait:      45,
		TCPClosed:       20,
		UDPFirstPacket:  60,
		UDPSingle:       30,
		UDPMultiple:     60,
		ICMPFirstPacket: 20,
		ICMPErrorReply:  10,
	}
}

// ErrTimer is in every error that Timers.Validate returns.
var ErrTimer = errors.New("session timer out of range")

// Validate returns a fault for every timer that is out of bounds, in the order
// of the fields; nil if there is none. A zero Timers is all faults: start from
// DefaultTimers.
func (t *Timers) Validate() []error {
	var faults []error
	for _, f := range t.fields() {
		if *f.seconds < MinTimer || *f.seconds > MaxTimer {
			faults = append(faults, fmt.Errorf("%s: %w: %d s is not in %d to %d",
				f.name, ErrTimer, *f.seconds, MinTimer, MaxTimer))
		}
	}
	return faults
}

// timerField is one timer by the name it has in configuration.
type timerField struct {
	name    string
	seconds *int64
}

func (t *Timers) fields() []timerField {
	return []timerField{
		{"tcp_first_packet", &t.TCPFirstPacket},
		{"tcp_opening", &t.TCPOpening},
		{"tcp_established", &t.TCPEstablished},
		{"tcp_closing", &t.TCPClosing},
		{"tcp_finwait", &t.TCPFinWait},
		{"tcp_closed", &t.TCPClosed},
		{"udp_first_packet", &t.UDPFirstPacket},
		{"udp_single", &t.UDPSingle},
		{"udp_multiple", &t.UDPMultiple},
		{"icmp_first_packet", &t.ICMPFirstPacket},
		{"icmp_error_reply", &t.ICMPErrorReply},
	}
}

// byState spreads the timers over the states, in nanoseconds, so that a
// timeout is one load.
func (t *Timers) byState() (ns [numStates]int64) {
	const second = 1e9
	seconds := [numStates]int64{
		StateNew: t.TCPFirstPacket,

		StateTCPSynSent:     t.TCPFirstPacket,
		StateTCPSynSent2:    t.TCPOpening,
		StateTCPSynRecv:     t.TCPOpening,
		StatePickedUp:       t.TCPOpening,
		StateTCPEstablished: t.TCPEstablished,
		StateTCPFinWait:     t.TCPClosing,
		StateTCPCloseWait:   t.TCPClosing,
		StateTCPLastAck:     t.TCPFinWait,
		StateTCPTimeWait:    t.TCPClosed,
		StateTCPClosed:      t.TCPClosed,

		StateUDPFirst:    t.UDPFirstPacket,
		StateUDPSingle:   t.UDPSingle,
		StateUDPMultiple: t.UDPMultiple,

		StateICMPFirst:   t.ICMPFirstPacket,
		StateICMPReplied: t.ICMPFirstPacket,
		StateICMPError:   t.ICMPErrorReply,

		StateSCTPCookieWait:      t.TCPFirstPacket,
		StateSCTPCookieEchoed:    t.TCPOpening,
		StateSCTPEstablished:     t.TCPEstablished,
		StateSCTPShutdownSent:    t.TCPClosing,
		StateSCTPShutdownRecd:    t.TCPClosing,
		StateSCTPShutdownAckSent: t.TCPFinWait,
		StateSCTPClosed:          t.TCPClosed,
		StateSCTPHeartbeatSent:   t.TCPFirstPacket,

		StateOtherFirst:    t.UDPFirstPacket,
		StateOtherSingle:   t.UDPSingle,
		StateOtherMultiple: t.UDPMultiple,
	}
	for i := range ns {
		ns[i] = seconds[i] * second
	}
	return ns
}
