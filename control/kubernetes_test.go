package control

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"math/big"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	"sigs.k8s.io/yaml"
)

// TestKubectl decodes what kubectl get -o yaml prints, with all that a cluster adds.
func TestKubectl(t *testing.T) {
	data, err := os.ReadFile("testdata/kubectl.yaml")
	require.NoError(t, err)
	list := objects(t, string(data))
	kinds := map[string]bool{}
	for _, o := range list {
		kinds[o.Kind] = true
		require.NotEmpty(t, o.Meta().UID, o.Key())
		require.Empty(t, o.Warnings, o.Key())
	}
	for _, k := range Kinds() {
		if k.Group() != "sluice.dev" {
			require.True(t, kinds[k.Kind], "a %s is missing", k.Kind)
		}
	}
	compile(t, Input{Objects: list})
}

// TestPrintedStatus: what Sluice adds to a status can be given back.
func TestPrintedStatus(t *testing.T) {
	for _, row := range []struct{ why, kind, spec, status string }{
		{"a kind without a status", "{apiVersion: sluice.dev/v1, kind: Segment, metadata: {name: a}", "", "anything: goes"},
		{"one of Kubernetes' without", "{apiVersion: v1, kind: Secret, metadata: {name: a}", "", ""},
		{"one with a status of its own", "{apiVersion: v1, kind: Pod, metadata: {name: a}", "", "podIP: 10.0.0.1"},
		{"one whose status has no conditions", "{apiVersion: networking.k8s.io/v1, kind: Ingress, metadata: {name: a}", "{defaultBackend: {service: {name: a, port: {number: 80}}}}", "loadBalancer: {}"},
	} {
		text := row.kind + ", spec: " + row.spec + ", status: {revision: 7, source: /etc/a.yaml, conditions: [{type: Accepted, status: \"True\", reason: Accepted}], " + row.status + "}}"
		text = strings.ReplaceAll(text, ", spec: ,", ",")
		_, faults := Decode("a.yaml", []byte(text), Options{})
		require.NoError(t, faults.Err(), row.why)
	}
	_, faults := Decode("a.yaml", []byte("{apiVersion: v1, kind: Pod, metadata: {name: a}, status: {podIp: 10.0.0.1}}"), Options{})
	require.ErrorContains(t, faults.Err(), "did you mean podIP?", "what matters is not passed over")
}

// TestWalkThrough decodes the manifests of the walk-through that the labs replay.
func TestWalkThrough(t *testing.T) {
	folder := os.Getenv("SLUICE_SHARED")
	if folder == "" {
		t.Skip("SLUICE_SHARED does not name the folder with SCENARIOS.md")
	}
	data, err := os.ReadFile(filepath.Join(folder, "SCENARIOS.md"))
	if err != nil {
		t.Skip(err)
	}
	blocks := regexp.MustCompile("(?s)```ya?ml\n(.*?)```").FindAllStringSubmatch(string(data), -1)
	if len(blocks) == 0 {
		t.Skip("SCENARIOS.md has no manifests, but says what is in them: TestWalkThroughObjects")
	}
	for _, b := range blocks {
		_, faults := Decode("SCENARIOS.md", []byte(b[1]), Options{SkipUnknown: true})
		require.NoError(t, faults.Err(), b[1])
	}
}

// TestWalkThroughObjects decodes manifests as the walk-through's text describes them, and as
// they are pasted: without the space.
func TestWalkThroughObjects(t *testing.T) {
	manifest, err := os.ReadFile("testdata/walkthrough.yaml")
	require.NoError(t, err)
	list := objects(t, string(manifest))
	keys := map[Key]*Object{}
	for _, o := range list {
		keys[o.Key()] = o
	}
	in := keys[Key{"Ingress", "nsx-demo", "nsx-demo-ingress"}]
	require.Equal(t, "networking.k8s.io/v1", in.APIVersion)
	require.Equal(t, []string{"extensions/v1beta1 is an old version of Ingress: it is kept as networking.k8s.io/v1"}, in.Warnings)
	require.Equal(t, "nsx-demo", in.Value.(*networkingv1.Ingress).Spec.Rules[0].HTTP.Paths[0].Backend.Service.Name)
	require.Equal(t, "172.30.158.1", keys[Key{"Service", "nsx-demo", "nsx-demo"}].Value.(*corev1.Service).Spec.ClusterIP)
	require.NotNil(t, keys[Key{"NetworkPolicy", "yelb-k8s", "yelb-db"}])
	compile(t, Input{Objects: list})

	pasted := strings.ReplaceAll(string(manifest), "apiVersion: ", "apiVersion:")
	_, faults := Decode("pasted.yaml", []byte(pasted), Options{})
	require.Len(t, faults, strings.Count(pasted, "apiVersion:"))
	for _, f := range faults {
		require.Equal(t, "a space is missing after the colon", f.Message)
	}
}

func TestImportIngress(t *testing.T) {
	for _, version := range []string{"extensions/v1beta1", "networking.k8s.io/v1beta1"} {
		list := objects(t, "apiVersion: "+version+`
kind: Ingress
metadata:
  name: web
  annotations: {kubernetes.io/ingress.class: nginx}
spec:
  ingressClassName: nsx
  backend: {serviceName: rest, servicePort: http}
  tls: [{hosts: [a.example.com], secretName: a}]
  rules:
  - host: a.example.com
    http:
      paths:
      - path: /a
        backend: {serviceName: a, servicePort: 80}
      - path: /b
        pathType: Exact
        backend: {resource: {apiGroup: s3, kind: Bucket, name: b}}
  - host: b.example.com
status: {loadBalancer: {ingress: [{ip: 192.0.2.1}]}}
`)
		require.Len(t, list, 1)
		o := list[0]
		require.Equal(t, "networking.k8s.io/v1", o.APIVersion)
		require.Equal(t, []string{version + " is an old version of Ingress: it is kept as networking.k8s.io/v1"}, o.Warnings)
		got, err := yaml.Marshal(o.Value)
		require.NoError(t, err)
		require.Equal(t, `apiVersion: networking.k8s.io/v1
kind: Ingress
metadata:
  annotations:
    kubernetes.io/ingress.class: nginx
  name: web
  namespace: default
spec:
  defaultBackend:
    service:
      name: rest
      port:
        name: http
  ingressClassName: nsx
  rules:
  - host: a.example.com
    http:
      paths:
      - backend:
          service:
            name: a
            port:
              number: 80
        path: /a
        pathType: ImplementationSpecific
      - backend:
          resource:
            apiGroup: s3
            kind: Bucket
            name: b
        path: /b
        pathType: Exact
  - host: b.example.com
  tls:
  - hosts:
    - a.example.com
    secretName: a
status:
  loadBalancer:
    ingress:
    - ip: 192.0.2.1
`, string(got))
		for path, want := range map[string][2]int{
			"spec.rules[0].http.paths[0].backend.service.port.number": {15, 48},
			"spec.defaultBackend.service.name":                        {8, 26},
			"spec.rules[0].http.paths[1].backend.resource.name":       {18, 64},
		} {
			_, line, column := o.Position(path)
			require.Equal(t, want, [2]int{line, column}, "%s is found where the old version has it", path)
		}
		again, faults := NewObject(o.Value)
		require.NoError(t, faults.Err())
		require.Empty(t, again.Warnings, "what is kept is imported no more")
	}
}

func TestWarnings(t *testing.T) {
	list := objects(t, `
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: a}
spec: {podSelector: {}, egress: [{to: [{ipBlock: {cidr: 10.0.0.1/8}}]}]}
`)
	require.Equal(t, []string{"spec.egress[0].to[0].ipBlock.cidr: 10.0.0.1/8 has bits set after its prefix: it is read as 10.0.0.0/8"}, list[0].Warnings)
}

// keyPair makes a certificate of itself, as PEM.
func keyPair(t *testing.T) (certificate, key string) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "shop.example.com"},
		NotBefore: time.Unix(0, 0), NotAfter: time.Unix(1<<32, 0),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	require.NoError(t, err)
	encoded, err := x509.MarshalPKCS8PrivateKey(private)
	require.NoError(t, err)
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})),
		string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: encoded}))
}

func TestTLSSecret(t *testing.T) {
	certificate, key := keyPair(t)
	other, _ := keyPair(t)
	cut := certificate[:len(certificate)/2] + "\n-----END CERTIFICATE-----\n"
	for _, row := range []struct{ why, certificate, key, want string }{
		{"a pair that fits", certificate, key, ""},
		{"a chain after the certificate", certificate + other, key, ""},
		{"another certificate's key", other, key, "a.yaml:6:12: Secret default/a: data[tls.key]: is no key of the first certificate of tls.crt: "},
		{"the chain before the certificate", other + certificate, key, "is no key of the first certificate"},
		{"one file in place of the other", key, certificate, "a.yaml:5:12: Secret default/a: data[tls.crt]: has no certificate"},
		{"base64 twice", base64.StdEncoding.EncodeToString([]byte(certificate)), key, "a.yaml:5:12: Secret default/a: data[tls.crt]: is not PEM text (it is in base64 twice"},
		{"a file that was cut off", cut, key, "a.yaml:5:12: Secret default/a: data[tls.crt]: "},
		{"a second certificate that is none", certificate + "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", key, "certificate 2 can't be read"},
		{"no key", certificate, "", "a.yaml:6:12: Secret default/a: data[tls.key]: is not PEM text"},
	} {
		for _, field := range []string{"data", "stringData"} {
			encode := func(s string) string { return fmt.Sprintf("%q", s) }
			if field == "data" {
				encode = func(s string) string { return fmt.Sprintf("%q", base64.StdEncoding.EncodeToString([]byte(s))) }
			}
			text := "apiVersion: v1\nkind: Secret\nmetadata: {name: a}\n" + field + ":\n  tls.crt: " + encode(row.certificate) + "\n  tls.key: " + encode(row.key) + "\ntype: kubernetes.io/tls\n"
			list, faults := Decode("a.yaml", []byte(text), Options{})
			if row.want == "" {
				require.NoError(t, faults.Err(), row.why)
				s := list[0].Value.(*corev1.Secret)
				require.Equal(t, row.certificate, string(s.Data["tls.crt"]), "stringData is data")
				require.Nil(t, s.StringData)
				_, line, _ := list[0].Position("data[tls.key]")
				require.Equal(t, 6, line)
				continue
			}
			require.ErrorContains(t, faults.Err(), row.want, row.why)
			require.NotContains(t, faults.Error(), key[30:60], "no value is told")
		}
	}
}
