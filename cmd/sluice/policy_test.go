package main

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluice-net/sluice/api"
	"github.com/sluice-net/sluice/control/server/servertest"
)

// A daemon is asked what the command line says, and its verdict is the exit status.
func TestPolicyEvalAsksTheDaemon(t *testing.T) {
	source := servertest.Small()
	address := servertest.Start(t, source)
	ask := func(more ...string) outcome {
		return sluice(t, append([]string{"policy", "eval", "--api", address, "--from", "a@10.0.0.1", "--to", "b"}, more...)...)
	}
	got := ask("--protocol", "tcp", "--port", "80", "-v")
	require.Equal(t, 1, got.status, got.err)
	require.Empty(t, got.err, "the verdict is no error")
	require.Equal(t, api.PolicyQuery{From: "a@10.0.0.1", To: "b", Protocol: "tcp", Port: 80, Explain: true}, source.PolicyQuery())

	source.Policy.Verdict = api.SecurityAllow
	got = ask("--protocol", "icmp", "--type", "0", "--code", "3")
	require.Zero(t, got.status, got.err)
	require.Equal(t, api.PolicyQuery{From: "a@10.0.0.1", To: "b", Protocol: "icmp", ICMPType: new(uint8), ICMPCode: new(uint8(3))}, source.PolicyQuery())

	source.PolicyError = api.NotFound("port", "wep", []string{"web"})
	got = ask("--protocol", "tcp", "--port", "80")
	require.Equal(t, outcome{2, "", "sluice: there is no port wep; did you mean web?\n"}, got, "it is not denied: it is no question")
	source.PolicyError = api.Invalid("of which protocol?")
	got = ask("--protocol", "tcp", "--port", "80")
	require.Equal(t, outcome{2, "", "sluice: of which protocol?\n"}, got)
	got = sluice(t, "policy", "eval", "--api", "unix:/nonexistent/api", "--from", "a", "--to", "b", "--protocol", "icmp")
	require.Equal(t, 2, got.status, "who is not there denies nothing")
	require.Contains(t, got.err, "no daemon answers")
}
