package flowtable

import (
	"encoding/json"
	"fmt"
	"os"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluice-net/sluice/internal/sharedtest"
)

// packetdrillCases are the cases of the kernel's conntrack tests, by the id
// that they have in the shared description.
var packetdrillCases = map[string]struct {
	why   string
	steps func() []string
}{
	"ack_loss_stall": {"data that was acknowledged, by ACKs lost behind the switch, is sent again from below the window", func() []string {
		steps := []string{
			"o S 0:0(0) win 32792 <mss 1000> => SYN_SENT",
			"r S. 0:0(0) ack 1 <mss 1460> => SYN_RECV",
			"o . 1:1(0) ack 1 => ESTABLISHED",
		}
		for i := range 46 {
			from := 1 + 1460*i
			steps = append(steps,
				fmt.Sprintf("o P. %d:%d(1460) ack 1 => ESTABLISHED", from, from+1460),
				fmt.Sprintf("r . 1:1(0) ack %d => ESTABLISHED", from+1460))
		}
		return append(steps, "o P. 1:1461(1460) ack 1 => ESTABLISHED")
	}},
	"inexact_rst": {"a RST for data under way is accepted once the connection is closing", func() []string {
		return []string{
			"o S 0:0(0) <wscale 8> => SYN_SENT",
			"r S. 0:0(0) ack 1 => SYN_RECV",
			"o . 1:1(0) ack 1 => ESTABLISHED",
			"r P. 1:1001(1000) ack 1 => ESTABLISHED",
			"o . 1:1(0) ack 1001 => ESTABLISHED",
			"r P. 1001:2001(1000) ack 1 => ESTABLISHED",
			"o . 1:1(0) ack 2001 => ESTABLISHED",
			"r P. 2001:3001(1000) ack 1 => ESTABLISHED",
			"o . 1:1(0) ack 3001 => ESTABLISHED",
			"o P. 1:1001(1000) ack 3001 => ESTABLISHED",
			"r F. 3001:3001(0) ack 1001 => FIN_WAIT",
			"o . 1001:1001(0) ack 3002 => CLOSE_WAIT",
			"o R. 1001:1001(0) ack 3002 => CLOSED",
			"r R 2001:2001(0) win 0 => CLOSED",
		}
	}},
	"rst_invalid": {"only a RST with the exact sequence number closes an established connection", func() []string {
		return []string{
			"o S 0:0(0) <wscale 8> => SYN_SENT",
			"r S. 0:0(0) ack 1 => SYN_RECV",
			"o . 1:1(0) ack 1 => ESTABLISHED",
			"r P. 1:1001(1000) ack 1 => ESTABLISHED",
			"o . 1:1(0) ack 1001 => ESTABLISHED",
			"r P. 1001:2001(1000) ack 1 => ESTABLISHED",
			"o . 1:1(0) ack 2001 => ESTABLISHED",
			"r P. 2001:3001(1000) ack 1 => ESTABLISHED",
			"o . 1:1(0) ack 3001 => ESTABLISHED",
			"r R 0:0(0) win 0 => invalid",
			"r R 1000000:1000000(0) win 0 => invalid",
			"r R 42:42(0) win 0 => invalid",
			"o P. 1:1001(1000) ack 3001 => ESTABLISHED",
			"r . 3001:3001(0) ack 1001 => ESTABLISHED",
			"r R. 3000:3000(0) ack 1001 => invalid",
			"r R. 3001:3001(0) ack 1001 => CLOSED",
		}
	}},
	"syn_challenge_ack": {"the server holds an old incarnation, answers with a challenge ACK, and the client resets that one, not this", func() []string {
		return []string{
			"o S 0:0(0) => SYN_SENT",
			"r . 145824453:145824453(0) ack 643160523 => SYN_SENT",
			"o R 643160523:643160523(0) win 0 => SYN_SENT",
			"o S 0:0(0) => SYN_SENT",
			"r S. 0:0(0) ack 1 => SYN_RECV",
			"o . 1:1(0) ack 1 => ESTABLISHED",
		}
	}},
	"synack_old": {"a SYN/ACK that answers an older SYN does not count", func() []string {
		return []string{
			"o S 0:0(0) => SYN_SENT",
			"r S. 145824453:145824453(0) ack 643160523 => invalid",
			"o S 0:0(0) => SYN_SENT",
			"r S. 145758918:145758918(0) ack 1 => SYN_RECV",
			"o . 1:1(0) ack 145758919 => ESTABLISHED",
			"o P. 1:2(1) ack 145758919 => ESTABLISHED",
		}
	}},
	"synack_reuse": {"a client that forgot the connection connects again from the same port", func() []string {
		return []string{
			"o S 0:0(0) => SYN_SENT",
			"r S. 0:0(0) ack 1 => SYN_RECV",
			"o . 1:1(0) ack 1 => ESTABLISHED",
			"o P. 1:101(100) ack 1 => ESTABLISHED",
			"r . 1:1(0) ack 101 => ESTABLISHED",
			"o S 2000:2000(0) => ESTABLISHED",
			"r . 1:1(0) ack 101 => ESTABLISHED",
			"o R. 101:101(0) ack 1 win 0 => CLOSED",
			"o S 2000:2000(0) => reopened SYN_SENT",
			"r S. 5000:5000(0) ack 2001 => SYN_RECV",
		}
	}},
}

func TestPacketdrillCases(t *testing.T) {
	for id, c := range packetdrillCases {
		for _, strict := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s/strict=%t", id, strict), func(t *testing.T) {
				t.Log(c.why)
				newConversation(strict).run(t, c.steps())
			})
		}
	}
}

// Every case of the shared description has rows above.
func TestPacketdrillCasesAreComplete(t *testing.T) {
	b, err := os.ReadFile(sharedtest.Path(t, "vectors", "conntrack_packetdrill.json"))
	require.NoError(t, err)
	var file struct {
		Cases []struct {
			ID string `json:"id"`
		} `json:"cases"`
	}
	require.NoError(t, json.Unmarshal(b, &file))
	require.NotEmpty(t, file.Cases)
	for _, c := range file.Cases {
		require.Contains(t, packetdrillCases, c.ID)
	}
}
