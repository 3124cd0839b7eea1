package main

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluice-net/sluice/node/doctor"
)

func TestDoctor(t *testing.T) {
	got := sluice(t, "doctor")
	require.Contains(t, []int{exitOK, exitFailure}, got.status, "it depends on the machine")
	require.Contains(t, got.out, "Kernel\n")
	require.NotContains(t, got.out, "\x1b", "no colors but on a terminal")
	require.Equal(t, got.status == exitFailure, strings.Contains(got.out, "  FAIL  "))

	dir := t.TempDir()
	config := write(t, dir, "site.yaml", strings.Replace(site, "addresses: [{ip: 10.0.1.10}]",
		"addresses: [{ip: 10.0.1.10}], device: {type: afpacket, name: no-such-dev, netns: sl-never-made}", 1))
	got = sluice(t, "doctor", "--config", config, "-o", "json")
	require.Equal(t, exitFailure, got.status)
	require.Equal(t, "sluice: something has to be mended first\n", got.err)
	var r doctor.Report
	require.NoError(t, json.Unmarshal([]byte(got.out), &r))
	require.NotZero(t, r.Summary.Fail)
	found := false
	for _, f := range r.Findings {
		if f.Group == "device no-such-dev in sl-never-made, port web/a" {
			found = true
			require.Equal(t, doctor.Fail, f.State)
			require.Contains(t, f.Found, "no such network namespace")
			require.NotEmpty(t, f.Mend)
		}
	}
	require.True(t, found, got.out)
}

func TestDoctorFaults(t *testing.T) {
	for _, row := range []struct {
		why    string
		args   []string
		status int
		says   string
	}{
		{"another format than there are", []string{"doctor", "-o", "yaml"}, exitUsage, "-o yaml: want table or json"},
		{"a configuration with faults", []string{"doctor", "--config", "/no/such.yaml"}, exitConfig, "/no/such.yaml"},
		{"an argument where none is wanted", []string{"doctor", "eth0"}, exitUsage, "eth0"},
	} {
		got := sluice(t, row.args...)
		require.Equal(t, row.status, got.status, row.why)
		require.Contains(t, got.err, row.says, row.why)
		require.Empty(t, got.out, row.why)
	}
}

func TestPrintFindings(t *testing.T) {
	r := &doctor.Report{
		Findings: []doctor.Finding{
			{Group: "kernel", Name: "version", State: doctor.OK, Found: "6.18"},
			{Group: "kernel", Name: "tcx", State: doctor.Info, Found: "not there", Means: "a filter stays behind"},
			{Group: "device eth0, port a", Name: "MTU", State: doctor.Fail, Found: "1400", Means: "larger packets are dropped", Mend: []string{"ip link set eth0 mtu 1500", "# or Port: spec.mtu: 1400"}},
		},
		Summary: doctor.Summary{OK: 1, Info: 1, Fail: 1},
	}
	var out bytes.Buffer
	require.NoError(t, printFindings(&out, r, false))
	require.Equal(t, `Kernel
  OK    version  6.18
  INFO  tcx      not there
                 a filter stays behind

Device eth0, port a
  FAIL  MTU  1400
             larger packets are dropped
               $ ip link set eth0 mtu 1500
               # or Port: spec.mtu: 1400

1 thing must be mended, 1 to know.
`, out.String())

	out.Reset()
	require.NoError(t, printFindings(&out, r, true))
	require.Contains(t, out.String(), "\x1b[31;1mFAIL\x1b[0m  MTU  1400\n")
	require.Error(t, printFindings(brokenPipe{}, r, false))
}
