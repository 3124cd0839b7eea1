package lab

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// small is a scenario that others are made of by replacing a line.
const small = `name: small
about: Two pods.
pods:
  - name: demo/a
  - name: demo/b
    device: tap
steps:
  - in: demo/a
    run: ping -c 1 ${ip:demo/b}
`

func TestDecode(t *testing.T) {
	s, faults := Decode("small.yaml", []byte(small))
	require.Empty(t, faults)
	require.Equal(t, "small", s.Name)
	require.Len(t, s.Pods, 2)
	require.Equal(t, "tap", s.Pods[1].Device.Type)
	require.Equal(t, "ping -c 1 ${ip:demo/b}", s.Steps[0].Run.Line)
	require.Equal(t, 8, s.Steps[0].At.line)
}

func TestFaultsHaveTheirPlaces(t *testing.T) {
	for _, row := range []struct {
		why      string
		old, new string // of small
		want     []string
	}{
		{
			"A misspelled field must not be passed over: what it says would not happen.",
			"    device: tap", "    devise: tap",
			[]string{`s.yaml:6:5: pods[1]: unknown field "devise" (known: addresses, configure, count, device`},
		},
		{
			"All faults are told at once, in the order of the file.",
			"    device: tap", "    device: tun\n    mtu: huge\n    gateway: nowhere",
			[]string{`s.yaml:6:13: pods[1].device.type: "tun" is not one of afpacket, tap, afxdp`, `s.yaml:7:10: pods[1].mtu: must be a whole number, not "huge"`},
		},
		{
			"A number out of its range is refused.",
			"    device: tap", "    mtu: 70000",
			[]string{`s.yaml:6:10: pods[1].mtu: 70000 is not between 576 and 65535`},
		},
		{
			"YAML itself takes the last of two equal keys; one of them is a mistake.",
			"    device: tap", "    mtu: 1500\n    mtu: 1400",
			[]string{"s.yaml:7:5: pods[1]: the field mtu is given twice"},
		},
		{
			"A step in a pod that is not there could never succeed.",
			"  - in: demo/a", "  - in: demo/c",
			[]string{`s.yaml:8:5: in: there is no pod or host "demo/c" (known: demo/a, demo/b, node)`},
		},
		{
			"A variable of a pod that is not there would become an empty word.",
			"${ip:demo/b}", "${ip:demo/c}",
			[]string{"s.yaml:9:10: ${ip:demo/c}: there is no such pod or host; known: demo/a, demo/b, node"},
		},
		{
			"A pattern that matches nothing is a mistake as well.",
			"${ip:demo/b}", "${ips:shop/*}",
			[]string{"s.yaml:9:10: ${ips:shop/*}: there is no such pod or host"},
		},
		{
			"A step that does two things could say of neither what came of it.",
			"  - in: demo/a", "  - pause: 1s\n    in: demo/a",
			[]string{"s.yaml:8:5: the step says several things to do: pause, run (one of config, connect, device, get"},
		},
		{
			"A step that does nothing is half written.",
			"    run: ping -c 1 ${ip:demo/b}", "    expect: {status: 1}",
			[]string{"s.yaml:8:5: the step says nothing to do"},
		},
		{
			"What a background program says is there when it has ended.",
			"    run: ping -c 1 ${ip:demo/b}", "    run: ping 10.0.0.1\n    background: p\n  - wait: q",
			[]string{`s.yaml:11:5: wait: nothing of the name "q" was started in the background before`},
		},
		{
			"Expectations go with what they are about.",
			"    run: ping -c 1 ${ip:demo/b}", "    run: ping 10.0.0.1\n  - get: /v1/ports\n    expect: {stdout: x}",
			[]string{"s.yaml:10:5: expect.stdout: goes with run, wait, stop, not with get"},
		},
		{
			"What an attempt goes to has to be an address and a port of a protocol that is known.",
			"    run: ping -c 1 ${ip:demo/b}", "    connect: ['tcp ${ip:demo/b}:80', 'sctp 10.0.0.1:5', tcp 10.0.0.1]",
			[]string{
				`s.yaml:9:14: connect: "sctp 10.0.0.1:5" is not a target (such as tcp ${ip:demo/web}:80`,
				`s.yaml:9:14: connect: "tcp 10.0.0.1" is not a target`,
			},
		},
		{
			"Names in it are those of commands.",
			"    run: ping -c 1 ${ip:demo/b}", "    connect: tcp ${ip:demo/c}:80",
			[]string{"s.yaml:9:14: ${ip:demo/c}: there is no such pod or host"},
		},
		{
			"An outcome that no attempt has could never come.",
			"    run: ping -c 1 ${ip:demo/b}", "    connect: {to: 'tcp 10.0.0.1:80', patience: 1s}\n    expect: {outcome: [dropped, silent, '~ ^re']}",
			[]string{`s.yaml:8:5: expect.outcome: "dropped" is not an outcome (answered, refused, prohibited`},
		},
		{
			"What came of a command is its status and what it says.",
			"    run: ping -c 1 ${ip:demo/b}", "    run: ping 10.0.0.1\n    expect: {outcome: silent}",
			[]string{"s.yaml:8:5: expect.outcome: goes with connect, not with run"},
		},
		{
			"An attempt is made by somebody.",
			"  - in: demo/a\n    run: ping -c 1 ${ip:demo/b}", "  - connect: tcp 10.0.0.1:80",
			[]string{"s.yaml:8:5: in: is missing: where is the command run?"},
		},
		{
			"Counters are the step's as a whole.",
			"    run: ping -c 1 ${ip:demo/b}", "    run: ping 10.0.0.1\n  - parallel: [{in: demo/a, run: 'true', expect: {rules: {web: {packets: 1}}}}]",
			[]string{"s.yaml:10:16: parallel: the steps in it can't be"},
		},
		{
			"A regular expression is read when the file is.",
			"    run: ping -c 1 ${ip:demo/b}", "    run: ping 10.0.0.1\n    expect: {stdout: {matches: '('}}",
			[]string{"s.yaml:10:32: steps[0].expect.stdout.matches: error parsing regexp: missing closing )"},
		},
		{
			"A comparison needs a number.",
			"    run: ping -c 1 ${ip:demo/b}", "    run: ping 10.0.0.1\n    expect: {status: '> many'}",
			[]string{`s.yaml:10:22: steps[0].expect.status: "many" is not a number`},
		},
		{
			"Objects within the file have their faults where they are written.",
			"pods:", "config: |\n  kind: Segment\n  apiVersion: sluice.dev/v1\n  metadata: {name: x}\n  spec: {mtu: 12}\npods:",
			[]string{"s.yaml:7:15: Segment x: spec.mtu: 12 is out of range"},
		},
		{
			"So have those that only show when all is put together.",
			"pods:", "config: |\n  kind: Port\n  apiVersion: sluice.dev/v1\n  metadata: {name: x}\n  spec: {segment: nowhere}\npods:",
			[]string{"s.yaml:7:19: Port x: spec.segment: there is no Segment nowhere"},
		},
		{
			"Faults of ports that the lab makes are those of the pods that they were made of.",
			"    device: tap", "    segment: nowhere",
			[]string{"s.yaml:5:5: Pod demo/b: metadata.annotations[sluice.dev/segment]: there is no Segment nowhere"},
		},
		{
			"Fields of the Port that the pod has itself would be in two places.",
			"    device: tap", "    port: {mtu: 1400}",
			[]string{"s.yaml:6:12: port: the field mtu is the pod's own (move it up)"},
		},
		{
			"Fields of the Port that do not exist are found before the node refuses them.",
			"    device: tap", "    port: {gard: true}",
			[]string{`s.yaml:6:11: port: json: unknown field "gard"`},
		},
		{
			"Names are of one pod or host.",
			"  - name: demo/b", "  - name: demo/a",
			[]string{`s.yaml:5:5: name: "demo/a" is there twice`},
		},
		{
			"A count without a number in the name would make equal names.",
			"    device: tap", "    count: 3",
			[]string{"s.yaml:5:5: count: the name has no {n} to tell the pods apart"},
		},
		{
			"A link has two ends.",
			"steps:", "hosts:\n  - name: h\n    interfaces:\n      - {name: eth0, link: lan}\nsteps:",
			[]string{`s.yaml:10:9: link: "lan" has 1 ends (a link joins two interfaces)`},
		},
		{
			"Indentation is what most mistakes are about.",
			"    device: tap", "   device: tap",
			[]string{"s.yaml:"},
		},
		{
			"The node's objects are one text, not documents of the file.",
			"steps:", "---\nsteps:",
			[]string{"s.yaml:7:1: a second document begins here"},
		},
		{
			"A name has to be one: it becomes part of file names.",
			"name: small", "name: Not a name",
			[]string{`s.yaml:1:1: name: "Not a name" is not a name`},
		},
		{
			"Without its first words the file says nothing.",
			"about: Two pods.", "",
			[]string{"s.yaml:1:1: the field about is missing"},
		},
	} {
		t.Run(row.why, func(t *testing.T) {
			require.Contains(t, small, row.old)
			s, faults := Decode("s.yaml", []byte(strings.Replace(small, row.old, row.new, 1)))
			if s != nil {
				_, faults = newPlan(s, "test")
			}
			require.Error(t, faults.Err())
			got := strings.Split(faults.Error(), "\n")
			for i, want := range row.want {
				require.Greater(t, len(got), i, faults.Error())
				require.True(t, strings.HasPrefix(got[i], want), "got  %s\nwant %s", got[i], want)
			}
		})
	}
}

// FuzzDecode: whatever a file holds, reading it gives a scenario or faults, and
// each fault has its place in the file.
func FuzzDecode(f *testing.F) {
	f.Add([]byte(small))
	f.Add([]byte(strings.ReplaceAll(small, "device: tap", "device: {type: afxdp, queues: 2}")))
	shipped, err := shippedFiles.ReadDir("scenarios")
	require.NoError(f, err)
	for _, file := range shipped {
		data, err := shippedFiles.ReadFile("scenarios/" + file.Name())
		require.NoError(f, err)
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		s, faults := Decode("s.yaml", data)
		require.Equal(t, s == nil, len(faults) > 0)
		for _, fault := range faults {
			if fault.File == "s.yaml" {
				require.Positive(t, fault.Line, fault.Error())
			}
		}
		if s != nil && len(s.ConfigFiles) == 0 {
			_, _ = newPlan(s, "test")
		}
	})
}
