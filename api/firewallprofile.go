package api

// SessionTimerProfile gives ports timers of their own. Of several that apply to a port, the one with the
// lowest sequenceNumber is the port's, of equal ones the first by name; where none does, NodeConfig's timers hold. A
// session has the timers of the port that it was begun from, or, if that is no port of a profile, of the one that it goes to.
type SessionTimerProfile struct {
	TypeMeta   `json:",inline"`
	ObjectMeta `json:"metadata"`
	Spec       SessionTimerProfileSpec `json:"spec,omitzero"`
}

// SessionTimerProfileSpec is timers and whose they are.
type SessionTimerProfileSpec struct {
	// SequenceNumber orders profiles. 0..2147483647, default 0.
	SequenceNumber int `json:"sequenceNumber,omitempty" min:"0" max:"2147483647"`

	// AppliedTo are the Groups whose ports have these timers: "NAME" (of the own namespace, else without
	// one), "NAMESPACE/NAME", or ANY. At least one.
	AppliedTo []string `json:"appliedTo" required:"true" max:"1024"`

	// Timers are the idle times after which sessions end. One that is not given has its default, not
	// NodeConfig's value.
	Timers Timers `json:"timers,omitzero"`
}

// FloodProtectionProfile bounds the sessions that ports may have at a time. Of several that apply to a
// port, the one with the lowest sequenceNumber is the port's, of equal ones the first by name.
type FloodProtectionProfile struct {
	TypeMeta   `json:",inline"`
	ObjectMeta `json:"metadata"`
	Spec       FloodProtectionProfileSpec `json:"spec,omitzero"`
}

// FloodProtectionProfileSpec is limits and whose they are. Each limit is of all sessions to and from all ports that
// have the profile together.
type FloodProtectionProfileSpec struct {
	// SequenceNumber orders profiles. 0..2147483647, default 0.
	SequenceNumber int `json:"sequenceNumber,omitempty" min:"0" max:"2147483647"`

	// AppliedTo are the Groups whose ports are protected: "NAME" (of the own namespace, else without
	// one), "NAMESPACE/NAME", or ANY. At least one.
	AppliedTo []string `json:"appliedTo" required:"true" max:"1024"`

	// TCPHalfOpenConnLimit is the most TCP connections whose handshake is not complete.
	// 0..67108864, default 0: no limit.
	TCPHalfOpenConnLimit int `json:"tcpHalfOpenConnLimit,omitempty" min:"0" max:"67108864"`

	// UDPActiveFlowLimit is the most UDP sessions. 0..67108864, default 0: no limit.
	UDPActiveFlowLimit int `json:"udpActiveFlowLimit,omitempty" min:"0" max:"67108864"`

	// ICMPActiveFlowLimit is the most ICMP and ICMPv6 sessions. 0..67108864, default 0: no limit.
	ICMPActiveFlowLimit int `json:"icmpActiveFlowLimit,omitempty" min:"0" max:"67108864"`

	// OtherActiveConnLimit is the most sessions of all others, complete TCP connections not counted.
	// 0..67108864, default 0: no limit.
	OtherActiveConnLimit int `json:"otherActiveConnLimit,omitempty" min:"0" max:"67108864"`

	// EnableSyncache keeps handshakes that are beyond the limit out of the session table, and lets those
	// in that prove to be meant. Default false: they are dropped.
	EnableSyncache bool `json:"enableSyncache,omitempty"`

	// EnableRstSpoofing makes a TCP reset count only with the sequence number that is expected next
	// (RFC 5961 section 3.2), so that nobody who guesses can end connections. Default false.
	EnableRstSpoofing bool `json:"enableRstSpoofing,omitempty"`
}
