package main

import (
	"encoding/json"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"

	"github.com/sluice-net/sluice/control/schema"
)

func TestExplain(t *testing.T) {
	for _, row := range []struct {
		why, path string
		want      []string
	}{
		{"a kind has its fields, which of them are needed, and where they belong", "segment", []string{
			"GROUP:      sluice.dev\nKIND:       Segment\nVERSION:    v1\n\nDESCRIPTION:\n    Segment is a logical switch",
			"  metadata\t<ObjectMeta> -required-\n",
			"  spec\t<SegmentSpec>\n",
		}},
		{"a field has its bounds and its default", "segments.spec.mtu", []string{
			"FIELD: mtu <integer>\n\nDESCRIPTION:\n    mtu is the largest IP packet", "    576 to 65535; default 1500\n",
		}},
		{"a list's fields are those of its elements", "Segment.spec.subnets", []string{
			"FIELD: subnets <[]Subnet>\n", "    at most 64\n", "  cidr\t<IP prefix> -required-\n",
		}},
		{"an enumeration has its values", "Port.spec.device.type", []string{"FIELD: type <string> -required-", "one of mem, pcap, tap, afpacket, afxdp"}},
		{"a path may be that of a fault", "svc.spec.ports[0].port", []string{"KIND:       Service\nVERSION:    v1\n", "FIELD: port <integer> -required-", "    1 to 65535\n"}},
		{"what is not in effect is said", "ing", []string{"IN EFFECT:  no: this version has no load balancer for HTTP\n"}},
		{"a kind may have its group", "ingresses.networking.k8s.io.spec.rules", []string{"GROUP:      networking.k8s.io\nKIND:       Ingress\n", "FIELD: rules <[]IngressRule>", "  http\t<HTTPIngressRuleValue>\n"}},
		{"preformatted lines stay as they are", "segment.spec.routerAdvertisement.mode", []string{"\n    SLAAC           made by the host         RA            A\n"}},
		{"a mapping's values", "svc.spec.selector", []string{"FIELD: selector <map[string]string>"}},
	} {
		got := sluice(t, "explain", row.path)
		require.Equal(t, outcome{exitOK, got.out, ""}, got, row.why)
		for _, want := range row.want {
			require.Contains(t, got.out, want, row.why)
		}
		for line := range strings.Lines(got.out) {
			require.LessOrEqual(t, utf8.RuneCountInString(strings.TrimSuffix(line, "\n")), 110, row.why)
		}
	}
}

func TestExplainRecursive(t *testing.T) {
	got := sluice(t, "explain", "router.spec", "--recursive")
	require.Contains(t, got.out, `FIELDS:
  uplinks	<[]Uplink>  at most 16
    port	<string> -required-
    addresses	<[]IP prefix> -required-  at most 64
    gateway	<IP address>
    gateways	<[]IP address>  at most 2
  routes	<[]Route>  at most 65536
    prefix	<IP prefix> -required-
    via	<IP address>
    blackhole	<boolean>
`)
	for _, k := range schema.Kinds() {
		require.Equal(t, exitOK, sluice(t, "explain", k.Kind, "--recursive").status, k.Kind)
	}
}

func TestExplainKinds(t *testing.T) {
	got := sluice(t, "explain")
	require.Equal(t, exitOK, got.status)
	require.Regexp(t, `^NAME +SHORTNAMES +APIVERSION +NAMESPACED +KIND +IN EFFECT\n`, got.out)
	require.Regexp(t, `\ningresses +ing +networking.k8s.io/v1 +true +Ingress +no: this version has no load balancer for HTTP\n`, got.out)
	require.Regexp(t, `\nsegments +seg +sluice.dev/v1 +false +Segment +yes\n`, got.out)
	var list struct{ Items []explainedKind }
	require.NoError(t, json.Unmarshal([]byte(sluice(t, "explain", "-o", "json").out), &list))
	require.Len(t, list.Items, len(schema.Kinds()))
}

func TestExplainJSON(t *testing.T) {
	var e explained
	require.NoError(t, json.Unmarshal([]byte(sluice(t, "explain", "ippool.spec", "-o", "json").out), &e))
	require.Equal(t, [3]string{"IPPool", "sluice.dev/v1", "spec"}, [3]string{e.Kind, e.APIVersion, e.Path})
	require.Equal(t, "usage", e.Fields[0].Name)
	require.Equal(t, []string{"segments", "vips", "clusterips", "snat"}, e.Fields[0].Enum)
	require.True(t, e.Fields[0].Required)
	require.Empty(t, e.Fields[3].Fields, "only with --recursive")
	require.NoError(t, json.Unmarshal([]byte(sluice(t, "explain", "ippool.spec", "-o", "json", "--recursive").out), &e))
	require.Equal(t, "start", e.Fields[3].Fields[0].Name)

	for _, args := range [][]string{{"explain", "--schema"}, {"explain", "port", "--schema"}} {
		var s map[string]any
		require.NoError(t, json.Unmarshal([]byte(sluice(t, args...).out), &s))
		require.Equal(t, schema.Draft, s["$schema"])
	}
}

func TestExplainMistakes(t *testing.T) {
	for _, row := range []struct {
		why  string
		args []string
		want string
	}{
		{"a kind that is near another", []string{"segmnt"}, "no kind segmnt: did you mean segment?"},
		{"a kind that is near none", []string{"deployments.spec"}, "no kind deployments: one of nodeconfigs, segments, "},
		{"a field that is near another", []string{"segment.spec.subnet"}, "Segment.spec has no field subnet: did you mean subnets?"},
		{"a field that is near none", []string{"ippool.spec.ranges.middle"}, "IPPool.spec.ranges has no field middle: it has start, end"},
		{"a field of what has none", []string{"segment.spec.mtu.bytes"}, "Segment.spec.mtu has no field bytes: mtu has no fields"},
		{"a form that there is not", []string{"segment", "-o", "yaml"}, "-o yaml: want text or json"},
		{"a schema of a field", []string{"segment.spec", "--schema"}, "--schema is of a kind: want Segment"},
	} {
		got := sluice(t, append([]string{"explain"}, row.args...)...)
		require.Equal(t, exitUsage, got.status, row.why)
		require.Contains(t, got.err, row.want, row.why)
	}
}

func TestExplainCompletion(t *testing.T) {
	for _, row := range []struct {
		why, word string
		want      []string
	}{
		{"fields of a kind", "segment.spec.u", []string{"segment.spec.unknownUnicastFlooding"}},
		{"fields below the last dot", "svc.spec.ports.", []string{
			"svc.spec.ports.name", "svc.spec.ports.protocol", "svc.spec.ports.appProtocol", "svc.spec.ports.port", "svc.spec.ports.targetPort", "svc.spec.ports.nodePort",
		}},
		{"nothing of what is not there", "svc.spec.nothing.", nil},
		{"nothing of an unknown kind", "deployment.", nil},
	} {
		got, _ := completeExplain(nil, nil, row.word)
		require.Equal(t, row.want, got, row.why)
	}
	got, _ := completeExplain(nil, nil, "s")
	require.Contains(t, got, "segments")
}
