package flowtable

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"
)

// The names and defaults are NSX's.
func TestDefaultTimers(t *testing.T) {
	b, err := json.Marshal(DefaultTimers())
	require.NoError(t, err)
	require.JSONEq(t, `{
		"tcp_first_packet": 120, "tcp_opening": 30, "tcp_established": 43200,
		"tcp_closing": 120, "tcp_finwait": 45, "tcp_closed": 20,
		"udp_first_packet": 60, "udp_single": 30, "udp_multiple": 60,
		"icmp_first_packet": 20, "icmp_error_reply": 10
	}`, string(b))
	timers := DefaultTimers()
	require.Empty(t, timers.Validate())
}

// Validate names every timer that is wrong, by its name in configuration.
func TestTimersValidate(t *testing.T) {
	names := map[string]int64{}
	b, err := json.Marshal(DefaultTimers())
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal(b, &names))
	for name := range names {
		for _, wrong := range []int64{0, -1, MaxTimer + 1} {
			bad := map[string]int64{name: wrong}
			b, err := json.Marshal(bad)
			require.NoError(t, err)
			timers := DefaultTimers()
			require.NoError(t, json.Unmarshal(b, &timers))
			faults := timers.Validate()
			require.Len(t, faults, 1, "%s = %d", name, wrong)
			require.ErrorIs(t, faults[0], ErrTimer)
			require.ErrorContains(t, faults[0], name+":")
		}
	}
	require.Len(t, new(Timers).Validate(), len(names), "all faults at once")
}

// Every state has a timer, and a name; which one is told by giving each timer
// a number of its own.
func TestTimersByState(t *testing.T) {
	timers := Timers{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11}
	want := map[State]int64{
		StateNew: 1, StatePickedUp: 2,
		StateTCPSynSent: 1, StateTCPSynSent2: 2, StateTCPSynRecv: 2, StateTCPEstablished: 3,
		StateTCPFinWait: 4, StateTCPCloseWait: 4, StateTCPLastAck: 5, StateTCPTimeWait: 6, StateTCPClosed: 6,
		StateUDPFirst: 7, StateUDPSingle: 8, StateUDPMultiple: 9,
		StateICMPFirst: 10, StateICMPReplied: 10, StateICMPError: 11,
		StateSCTPCookieWait: 1, StateSCTPHeartbeatSent: 1, StateSCTPCookieEchoed: 2, StateSCTPEstablished: 3,
		StateSCTPShutdownSent: 4, StateSCTPShutdownRecd: 4, StateSCTPShutdownAckSent: 5, StateSCTPClosed: 6,
		StateOtherFirst: 7, StateOtherSingle: 8, StateOtherMultiple: 9,
	}
	tracker := newTracker([]Timers{timers})
	for st := range numStates {
		var s session
		s.word.Store(makeWord(st, kindAlike, 0))
		require.Equal(t, want[st]*1e9, s.timeout(tracker), "%d, %s", st, st)
		require.Equal(t, st, s.state())
		require.NotEmpty(t, st.String())
	}
	require.Equal(t, "UNKNOWN", numStates.String())
}
