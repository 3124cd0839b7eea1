package control

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/sluice-net/sluice/api"
)

const podYAML = `
apiVersion: v1
kind: Pod
metadata:
  name: a
  creationTimestamp: 2026-11-23T10:00:00Z
  annotations: {note: |
    two
    lines}
  labels: &labels {app: web}
spec:
  nodeSelector: {<<: *labels, zone: "1"}
  activeDeadlineSeconds: 0x10
  containers:
  - name: c
    image: nginx:1.27
    resources: {limits: {cpu: 500m, memory: 2}}
    livenessProbe: {httpGet: {port: http}, initialDelaySeconds: 3}
    readinessProbe: {tcpSocket: {port: 80}}
    securityContext: null
status: {podIP: 10.244.0.9}
`

func TestDecodeKubernetesTypes(t *testing.T) {
	list := objects(t, strings.ReplaceAll(podYAML, "{note: |\n    two\n    lines}", "{note: \"two\\nlines\"}"))
	require.Len(t, list, 1)
	require.Equal(t, Key{"Pod", "default", "a"}, list[0].Key(), "a Pod without a namespace is in default")
	p := list[0].Value.(*corev1.Pod)
	require.Equal(t, "default", p.Namespace)
	require.Equal(t, "two\nlines", p.Annotations["note"])
	require.Equal(t, 2026, p.CreationTimestamp.Year())
	require.Equal(t, map[string]string{"app": "web", "zone": "1"}, p.Spec.NodeSelector)
	require.Equal(t, int64(16), *p.Spec.ActiveDeadlineSeconds)
	c := p.Spec.Containers[0]
	require.True(t, c.Resources.Limits.Cpu().Equal(resource.MustParse("500m")))
	require.True(t, c.Resources.Limits.Memory().Equal(resource.MustParse("2")))
	require.Equal(t, intstr.FromString("http"), c.LivenessProbe.HTTPGet.Port)
	require.Equal(t, intstr.FromInt32(80), c.ReadinessProbe.TCPSocket.Port)
	require.Nil(t, c.SecurityContext)
	require.Equal(t, "10.244.0.9", p.Status.PodIP)
}

func TestDecodeJSON(t *testing.T) {
	text := "\n\t{\"apiVersion\": \"sluice.dev/v1\",\n\t\"kind\": \"Segment\", \"metadata\": {\"name\": \"a\", \"annotations\": {\"x\": \"\\ud83d\\ude00 \\/\"}},\n" +
		"\t\"spec\": {\"mtu\": 9000, \"unknownUnicastFlooding\": false}} {\"apiVersion\": \"v1\", \"kind\": \"List\", \"items\": []}"
	for _, name := range []string{"a.json", "a.yaml"} {
		if name == "a.yaml" {
			text = strings.TrimSuffix(text, ` {"apiVersion": "v1", "kind": "List", "items": []}`)
		}
		list, faults := Decode(name, []byte(text), Options{})
		require.NoError(t, faults.Err(), name)
		require.Len(t, list, 1)
		s := list[0].Value.(*api.Segment)
		require.Equal(t, 9000, s.Spec.MTU)
		require.False(t, *s.Spec.UnknownUnicastFlooding)
		require.Equal(t, "\U0001F600 /", s.Annotations["x"])
		_, line, column := list[0].Position("spec.mtu")
		require.Equal(t, [2]int{4, 18}, [2]int{line, column})
	}
}

func TestPosition(t *testing.T) {
	list := objects(t, "# comment\n---\napiVersion: sluice.dev/v1\nkind: Port\nmetadata:\n  name: a\nspec:\n  segment: web\n")
	for _, row := range []struct {
		why, path    string
		line, column int
	}{
		{"a field that is written", "spec.segment", 8, 12},
		{"of one that is not, the innermost around it", "spec.device.name", 8, 3},
		{"an element of a list that is not there", "spec.addresses[3].ip", 8, 3},
		{"the object itself", "", 3, 1},
		{"a field of no struct at all", "nonsense", 3, 1},
	} {
		file, line, column := list[0].Position(row.path)
		require.Equal(t, "test.yaml", file)
		require.Equal(t, [2]int{row.line, row.column}, [2]int{line, column}, row.why)
	}
}

func TestSkipUnknown(t *testing.T) {
	text := `
{apiVersion: apps/v1, kind: Deployment, metadata: {name: a, namespace: web}, spec: {what: ever}}
---
{apiVersion: sluice.dev/v1, kind: Traceflow, metadata: {name: a}}
---
{apiVersion: metallb.io/v1beta1, kind: IPPool, metadata: {name: a}}
---
apiVersion: v1
kind: List
items:
- {apiVersion: v1, kind: Servce, metadata: {name: a}}
- {apiVersion: example.com/v1, kind: Prt, metadata: {name: a}}
---
{apiVersion: v1, kind: Namespace, metadata: {name: a}}
`
	var skipped []Skipped
	list, faults := Decode("a.yaml", []byte(text), Options{SkipUnknown: true, Skipped: func(s Skipped) { skipped = append(skipped, s) }})
	require.NoError(t, faults.Err())
	require.Len(t, list, 1)
	require.Equal(t, []Skipped{
		{"apps/v1", "Deployment", "web", "a", "a.yaml", 2, 1, "this version does not know the kind"},
		{"sluice.dev/v1", "Traceflow", "", "a", "a.yaml", 4, 1, "this version does not support the kind"},
		{"metallb.io/v1beta1", "IPPool", "", "a", "a.yaml", 6, 1, "this version does not know the kind of that apiVersion, but of sluice.dev/v1"},
		{"v1", "Servce", "", "a", "a.yaml", 11, 3, "this version does not know the kind: did you mean Service?"},
		{"example.com/v1", "Prt", "", "a", "a.yaml", 12, 3, "this version does not know the kind"},
	}, skipped)

	list, faults = Decode("a.yaml", []byte(text), Options{})
	require.Nil(t, list)
	require.Len(t, faults, 5, "without the option, all of them are faults at once")

	for _, row := range []struct{ why, text, want string }{
		{
			"nobody else has kinds in the core group", "{apiVersion: v1, kind: Ingress, metadata: {name: a}, spec: {defaultBackend: {}}}",
			"the kind Ingress has no apiVersion v1",
		},
		{
			"another version of a known group was meant", "{apiVersion: sluice.dev/v2, kind: Segment, metadata: {name: a}}",
			"the kind Segment has no apiVersion sluice.dev/v2",
		},
		{"what is no object has no kind", "{metadata: {name: a}}", "the field kind is missing"},
	} {
		_, faults := Decode("a.yaml", []byte(row.text), Options{SkipUnknown: true})
		require.ErrorContains(t, faults.Err(), row.want, row.why)
	}
}

func TestNewObject(t *testing.T) {
	p := &api.Port{}
	p.APIVersion, p.Kind, p.Name = api.APIVersion, "Port", "a"
	p.Spec.Addresses = []api.PortAddress{{MAC: api.MAC{2, 0, 0, 0, 0, 1}}}
	o, faults := NewObject(p)
	require.NoError(t, faults.Err())
	require.Equal(t, p, o.Value)
	p.Spec.MTU = 1
	_, faults = NewObject(p)
	require.Equal(t, "Port a: spec.mtu: 1 is out of range: 576 to 65535", faults.Error(), "an object of no file has no place")
}

func TestLoad(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600))
	}
	namespace := func(name string) string {
		return "{apiVersion: v1, kind: Namespace, metadata: {name: " + name + "}}\n"
	}
	write("b.yaml", namespace("b"))
	write("a.yml", namespace("a"))
	write("c.json", `{"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "c"}}`)
	write("README.md", "not: [an object")
	write(".hidden.yaml", "not: [an object")
	list, faults := Load([]string{dir, "-"}, strings.NewReader(namespace("d")), Options{})
	require.NoError(t, faults.Err())
	var names []string
	for _, o := range list {
		names = append(names, o.Name)
	}
	require.Equal(t, []string{"a", "b", "c", "d"}, names)

	_, faults = Load([]string{filepath.Join(dir, "none"), filepath.Join(dir, "b.yaml"), "-"}, strings.NewReader(namespace("b")), Options{})
	require.Equal(t, "-:1:1: Namespace b: the object is there twice (also at "+filepath.Join(dir, "b.yaml")+":1:1)\n"+
		filepath.Join(dir, "none")+": no such file or directory", faults.Error())
	_, faults = Load([]string{t.TempDir()}, nil, Options{})
	require.ErrorContains(t, faults.Err(), "the directory has no *.yaml")
}

// TestEditors: what editors add to text is no part of it, also where files were joined.
func TestEditors(t *testing.T) {
	const text = "---\napiVersion: v1\nkind: Namespace\nmetadata:\n  name: Web\n"
	windows := strings.ReplaceAll(text, "\n", "\r\n")
	for _, row := range []struct {
		why, text string
		want      []int // lines of the faults
	}{
		{"Windows' line ends", windows, []int{5}},
		{"a byte order mark", "\ufeff" + text, []int{5}},
		{"both, twice in a file", "\ufeff" + windows + "\ufeff" + windows, []int{5, 10}},
		{"a mark in JSON", "\ufeff{\"apiVersion\": \"v1\", \"kind\": \"Namespace\",\n\"metadata\": {\"name\": \"Web\"}}", []int{2}},
	} {
		_, faults := Decode("a.yaml", []byte(row.text), Options{})
		var lines []int
		for _, f := range faults {
			require.Contains(t, f.Message, "Web is not a name", row.why)
			lines = append(lines, f.Line)
		}
		require.Equal(t, row.want, lines, row.why)
	}
}

func TestEncodingFaults(t *testing.T) {
	for _, row := range []struct{ why, text, want string }{
		{"a byte that is no UTF-8", "a: é\nb: \xff", `a.yaml:2:4: the byte 0xff is not UTF-8 (the file must be UTF-8 text)`},
		{"what PowerShell writes", "\xff\xfea\x00", `a.yaml:1:1: the file is UTF-16 (save it as UTF-8, or iconv -f UTF-16 -t UTF-8 FILE)`},
		{"a control character, counted in characters", "é: \x01", `a.yaml:1:4: the control character U+0001 is not allowed (the file must be UTF-8 text)`},
	} {
		_, faults := Decode("a.yaml", []byte(row.text), Options{})
		require.Equal(t, row.want, faults.Error(), row.why)
	}
}

// TestManyDocuments: several goroutines decode them, and nobody can tell.
func TestManyDocuments(t *testing.T) {
	const documents = 4 * documentsAlone
	var text strings.Builder
	for i := range documents {
		switch {
		case i%700 == 7:
			text.WriteString("---\napiVersion: sluice.dev/v1\nkind: Segment\nmetadata: {name: faulty}\nspec: {mtu: 1}\n")
		case i%900 == 9:
			text.WriteString("---\napiVersion: example.org/v1\nkind: Ship\nmetadata: {name: x}\n")
		default:
			fmt.Fprintf(&text, "---\napiVersion: sluice.dev/v1\nkind: Segment\nmetadata: {name: s%d}\n", i)
		}
	}
	decode := func(processors int) (objects []*Object, faults Faults, skipped []Skipped) {
		defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(processors))
		o, f := Decode("many.yaml", []byte(text.String()), Options{SkipUnknown: true, Skipped: func(s Skipped) { skipped = append(skipped, s) }})
		return o, f, skipped
	}
	_, faults, skipped := decode(1)
	_, parallelFaults, parallelSkipped := decode(4)
	require.Len(t, faults, 3)
	require.Equal(t, faults, parallelFaults)
	require.Len(t, skipped, 3)
	require.Equal(t, skipped, parallelSkipped)

	good := strings.ReplaceAll(text.String(), "spec: {mtu: 1}\n", "")
	good = strings.Replace(strings.Replace(good, "name: faulty", "name: a", 1), "name: faulty", "name: b", 1)
	text.Reset()
	text.WriteString(good)
	one, faults, _ := decode(1)
	require.Empty(t, faults)
	many, faults, _ := decode(4)
	require.Empty(t, faults)
	require.Len(t, many, documents-3)
	for i := range one {
		require.Equal(t, one[i].Key(), many[i].Key())
		require.Equal(t, one[i].Value, many[i].Value)
	}
}
