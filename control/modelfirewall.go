package control

import (
	"github.com/sluice-net/sluice/api"
	"github.com/sluice-net/sluice/control/ruleset"
	"github.com/sluice-net/sluice/firewall/policy"
)

// TimerProfile is a SessionTimerProfile.
type TimerProfile struct {
	Namespace string       `json:"namespace"`
	Name      string       `json:"name"`
	Timers    Timers       `json:"timers"`
	AppliedTo policy.SetID `json:"appliedTo"` // in Firewall.Sets, by Ports alone; policy.Any is every port
}

// FloodProfile is a FloodProtectionProfile. Of the limits 0 is none.
type FloodProfile struct {
	Namespace   string       `json:"namespace"`
	Name        string       `json:"name"`
	HalfOpenTCP int          `json:"halfOpenTCP"`
	UDP         int          `json:"udp"`
	ICMP        int          `json:"icmp"`  // and ICMPv6
	Other       int          `json:"other"` // but complete TCP connections
	SYNCache    bool         `json:"synCache"`
	RSTSpoofing bool         `json:"rstSpoofing"` // protection against it
	AppliedTo   policy.SetID `json:"appliedTo"`   // as TimerProfile's
}

func timerProfile(p *ruleset.Profile, v *api.SessionTimerProfile) TimerProfile {
	t := v.Spec.Timers
	api.SetDefaults(&t)
	return TimerProfile{Namespace: p.Origin.Namespace, Name: p.Origin.Name, Timers: resolveTimers(t), AppliedTo: p.AppliedTo}
}

func floodProfile(p *ruleset.Profile, v *api.FloodProtectionProfile) FloodProfile {
	s := &v.Spec
	return FloodProfile{
		Namespace: p.Origin.Namespace, Name: p.Origin.Name, AppliedTo: p.AppliedTo,
		HalfOpenTCP: s.TCPHalfOpenConnLimit, UDP: s.UDPActiveFlowLimit, ICMP: s.ICMPActiveFlowLimit, Other: s.OtherActiveConnLimit,
		SYNCache: s.EnableSyncache, RSTSpoofing: s.EnableRstSpoofing,
	}
}
