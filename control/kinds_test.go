package control

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestKindNamed(t *testing.T) {
	for _, row := range []struct{ why, word, want string }{
		{"the plural, as kubectl wants it", "services", "v1 Service"},
		{"the singular", "networkpolicy", "networking.k8s.io/v1 NetworkPolicy"},
		{"kubectl's short name", "netpol", "networking.k8s.io/v1 NetworkPolicy"},
		{"as objects have it, in letters of either case", "EndpointSlice", "discovery.k8s.io/v1 EndpointSlice"},
		{"all capitals, too", "SVC", "v1 Service"},
		{"with the group, as error messages of Kubernetes have it", "ingresses.networking.k8s.io", "networking.k8s.io/v1 Ingress"},
		{"with version and group", "ingresses.v1.networking.k8s.io", "networking.k8s.io/v1 Ingress"},
		{"a native kind with its group", "ippools.sluice.dev", "sluice.dev/v1 IPPool"},
		{"po is a port since there were no objects yet", "po", "sluice.dev/v1 Port"},
		{"a word that ends in s in the singular", "endpoints", "v1 Endpoints"},
		{"a kind that this version does not read", "traceflows", ""},
		{"another group's kind of the same name", "ingresses.example.com", ""},
		{"the core group has no name to put behind", "services.v1", ""},
		{"nothing", "", ""},
	} {
		k, found := KindNamed(row.word)
		require.Equal(t, row.want != "", found, row.why)
		if found {
			require.Equal(t, row.want, k.APIVersion+" "+k.Kind, row.why)
		}
	}
	require.Equal(t, "did you mean services?", KindHint("servces"))
	require.Contains(t, KindHint("deployments"), "one of nodeconfigs, segments, ports, ")
}

// TestKindsAreToldApart: no word names two kinds.
func TestKindsAreToldApart(t *testing.T) {
	owner := map[string]string{}
	for _, k := range Kinds() {
		require.NotNil(t, k.Type)
		for _, word := range append([]string{k.Plural}, k.Short...) {
			require.Empty(t, owner[word], "%s is %s", word, owner[word])
			owner[word] = k.Kind
		}
		found, _ := KindNamed(k.Singular)
		require.Equal(t, k.Kind, found.Kind)
	}
	for _, k := range Imports() {
		kept, found := KindNamed(k.Plural)
		require.True(t, found)
		require.Equal(t, k.Kind, kept.Kind)
		require.NotEqual(t, k.APIVersion, kept.APIVersion)
	}
}

func TestModelNamesWhatIsNotImplemented(t *testing.T) {
	policy := "{apiVersion: networking.k8s.io/v1, kind: NetworkPolicy, metadata: {name: a, namespace: web}, spec: {podSelector: {}}}"
	ingresses := `
{apiVersion: networking.k8s.io/v1, kind: Ingress, metadata: {name: b}, spec: {defaultBackend: {service: {name: a, port: {number: 80}}}}}
---
{apiVersion: v1, kind: Secret, metadata: {name: a}}
---
` + policy + `
---
{apiVersion: networking.k8s.io/v1, kind: Ingress, metadata: {name: a}, spec: {defaultBackend: {service: {name: a, port: {number: 80}}}}}
`
	m := compile(t, Input{Objects: objects(t, ingresses)})
	require.Equal(t, []Key{{"Ingress", "default", "a"}, {"Ingress", "default", "b"}}, m.NotImplemented)
	require.Equal(t, compile(t, Input{Objects: objects(t, policy)}).Digest, m.Digest, "packets are treated alike")
	for _, k := range m.NotImplemented {
		require.Contains(t, NotImplemented(k.Kind), "this version has no")
	}
	require.Empty(t, NotImplemented("Pod"))
	require.Empty(t, NotImplemented("Service"))
}
