package bundle

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestText(t *testing.T) {
	t.Parallel()
	rows := []struct {
		why, input, want string
	}{
		{"what is not secret stays", `level=INFO msg="port up" port=web/a mtu=1500`, `level=INFO msg="port up" port=web/a mtu=1500`},
		{"a name and a value", "password=hunter2 user=x", "password=(redacted) user=x"},
		{"with spaces, in quotes", `DB_PASSWORD: "correct horse" x`, `DB_PASSWORD: (redacted)` + "\n"},
		{"in the middle of a line", `set api_key = 'a b' done`, `set api_key = (redacted) done`},
		{"JSON", `{"clientSecret": "s\"x", "b": 1}`, `{"clientSecret": (redacted), "b": 1}`},
		{"JSON within a string", `msg="{\"token\": \"a b\", \"c\": 1}"`, `msg="{\"token\": (redacted), \"c\": 1}"`},
		{"what points to a secret is none", "secretName: web-tls keyFile=/etc/key.pem tokenExpirationSeconds=3600", "secretName: web-tls keyFile=/etc/key.pem tokenExpirationSeconds=3600"},
		{"an address with a password", "get https://joe:pass@host/x", "get https://(redacted)host/x"},
		{"a header", `Authorization: Bearer abc.def-ghi, x`, `Authorization: Bearer (redacted), x`},
		{"a bearer without a header", `curl used bearer 0123456789abcdef0`, `curl used bearer (redacted)`},
		{"a web token", "got eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.sig_x ok", "got (redacted) ok"},
		{"a private key", "a\n-----BEGIN RSA PRIVATE KEY-----\nMIIB\nabc=\n-----END RSA PRIVATE KEY-----\nb", "a\n-----BEGIN RSA PRIVATE KEY-----(redacted)\nb"},
		{"a private key with escaped line ends, cut off", `x="-----BEGIN PRIVATE KEY-----\nMIIBabc=\nMII`, `x="-----BEGIN PRIVATE KEY-----(redacted)`},
		{"a certificate is public", "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----", "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----"},
		{"what is said of a Secret", "a.yaml:3: Secret web/tls: data.x \"abc\" is bad\nnext", "a.yaml:3: Secret web/tls(redacted)\nnext"},
		{"the word alone", "Secrets are not shown", "Secrets are not shown"},
		{
			"a block of YAML, in a diff",
			" metadata:\n-  password: |-\n-    line one\n-    line two\n+  password: other words\n   name: x\n",
			" metadata:\n-  password: (redacted)\n+  password: (redacted)\n   name: x\n",
		},
		{
			"a list below a name, as deep as that",
			"spec:\n  tokens:\n  - one\n  - two\n  mtu: 1500\n",
			"spec:\n  tokens: (redacted)\n  mtu: 1500\n",
		},
		{
			"kubectl's annotation in a diff",
			"+    kubectl.kubernetes.io/last-applied-configuration: |\n+      {\"spec\":{\"a\":\"b\"}}\n+  name: x\n",
			"+    kubectl.kubernetes.io/last-applied-configuration: (redacted)\n+  name: x\n",
		},
	}
	for _, row := range rows {
		t.Run(row.why, func(t *testing.T) {
			t.Parallel()
			got := newScrubber().text(row.input)
			require.Equal(t, strings.TrimSuffix(row.want, "\n"), strings.TrimSuffix(got, "\n"))
			require.Equal(t, got, newScrubber().text(got), "a second time changes nothing")
		})
	}
}

func TestObjects(t *testing.T) {
	t.Parallel()
	rows := []struct {
		why, input, want string
	}{
		{
			"values of a Secret, but not their names",
			`{"kind": "Secret", "metadata": {"name": "s", "managedFields": [1]}, "type": "Opaque", "data": {"tls.key": "eA=="}, "stringData": {"a": "b"}}`,
			`{"kind": "Secret", "metadata": {"name": "s"}, "type": "Opaque", "data": {"tls.key": "(redacted)"}, "stringData": {"a": "(redacted)"}}`,
		},
		{
			"a Secret that is broken",
			`{"kind": "Secret", "data": "abc", "stringData": ["x"]}`,
			`{"kind": "Secret", "data": "(redacted)", "stringData": "(redacted)"}`,
		},
		{
			"fields by their names, at any depth; a number, too",
			`{"kind": "X", "spec": {"peers": [{"name": "a", "password": "p", "key": "k", "authKey": {"x": 1}, "pin-token": 1234}]}}`,
			`{"kind": "X", "spec": {"peers": [{"name": "a", "password": "(redacted)", "key": "(redacted)", "authKey": "(redacted)", "pin-token": "(redacted)"}]}}`,
		},
		{
			"keys of selectors are names of labels",
			`{"kind": "X", "spec": {"matchExpressions": [{"key": "app", "operator": "Exists"}]}}`,
			`{"kind": "X", "spec": {"matchExpressions": [{"key": "app", "operator": "Exists"}]}}`,
		},
		{
			"names of Secrets are none",
			`{"kind": "Ingress", "spec": {"tls": [{"secretName": "web-tls", "hosts": ["a"]}]}}`,
			`{"kind": "Ingress", "spec": {"tls": [{"secretName": "web-tls", "hosts": ["a"]}]}}`,
		},
		{
			"what containers are started with; the rest of a Pod is of use",
			`{"kind": "Pod", "spec": {"containers": [{"name": "c", "image": "i", "args": ["-p", "x"], "command": ["y"], "env": [{"name": "A", "value": "b"}, {"name": "B", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}}]}]}, "status": {"podIP": "10.0.0.1"}}`,
			`{"kind": "Pod", "spec": {"containers": [{"name": "c", "image": "i", "args": "(redacted)", "command": "(redacted)", "env": [{"name": "A", "value": "(redacted)"}, {"name": "B", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}}]}]}, "status": {"podIP": "10.0.0.1"}}`,
		},
		{
			"annotations: kubectl's, and those that are named like secrets",
			`{"kind": "Service", "metadata": {"annotations": {"kubectl.kubernetes.io/last-applied-configuration": "{}", "x/token": "t", "sluice.dev/segment": "web"}}}`,
			`{"kind": "Service", "metadata": {"annotations": {"kubectl.kubernetes.io/last-applied-configuration": "(redacted)", "x/token": "(redacted)", "sluice.dev/segment": "web"}}}`,
		},
		{
			"the diff of a Secret's change, not of others'",
			`{"changes": [{"kind": "Secret", "name": "s", "diff": "+ a: b"}, {"kind": "Port", "name": "p", "diff": "+ a: b"}]}`,
			`{"changes": [{"kind": "Secret", "name": "s"}, {"kind": "Port", "name": "p", "diff": "+ a: b"}]}`,
		},
		{"numbers stay as they are written", `{"a": 12345678901234567890, "b": 1.50}`, `{"a": 12345678901234567890, "b": 1.50}`},
	}
	for _, row := range rows {
		t.Run(row.why, func(t *testing.T) {
			t.Parallel()
			s := newScrubber()
			learned, err := s.learn(json.RawMessage(row.input))
			require.NoError(t, err)
			require.JSONEq(t, row.want, string(s.clean(learned)))
		})
	}
}

// TestValuesEverywhere: what a secret field held is found in whatever form it comes up.
func TestValuesEverywhere(t *testing.T) {
	t.Parallel()
	const value = "s3cr3t/value \"x\"\nsecond line of it"
	s := newScrubber()
	_, err := s.learn(map[string]any{
		"kind": "Secret", "stringData": map[string]any{"a": value, "short": "word"},
		"metadata": map[string]any{"annotations": map[string]any{
			"kubectl.kubernetes.io/last-applied-configuration": `{"kind": "Secret", "metadata": {"name": "a-long-name"}, "data": {"old": "b2xkIHZhbHVlIG9mIGl0"}}`,
		}},
	})
	require.NoError(t, err)
	for why, text := range map[string]string{
		"as it is":                 value,
		"one line of it":           "second line of it",
		"quoted by Go, as in logs": `s3cr3t/value \"x\"\nsecond line of it`,
		"in a URL":                 "s3cr3t%2Fvalue+%22x%22%0Asecond+line+of+it",
		"in base64":                "czNjcjN0L3ZhbHVlICJ4IgpzZWNvbmQgbGluZSBvZiBpdA==",
		"of an older version":      "old value of it",
		"of that, in base64":       "b2xkIHZhbHVlIG9mIGl0",
	} {
		require.Equal(t, "<"+redacted+">", s.text("<"+text+">"), why)
	}
	require.Equal(t, "a word is no secret, nor is a-long-name", s.text("a word is no secret, nor is a-long-name"))
}

// FuzzText: whatever surrounds a secret with a name, it is not there afterwards.
func FuzzText(f *testing.F) {
	f.Add("level=INFO ", " x")
	f.Add("  ", "\n  y: 1")
	f.Add(`"`, `"`)
	f.Add("- ", "")
	f.Fuzz(func(t *testing.T, before, after string) {
		const secret = "hunter2hunter2"
		if strings.Contains(before+after, "hunter2") {
			t.Skip()
		}
		for _, form := range []string{" password=" + secret + " ", ` password: "` + secret + `" `, " https://a:" + secret + "@b "} {
			require.NotContains(t, newScrubber().text(before+form+after), secret)
		}
		s := newScrubber()
		s.remember(secret)
		require.NotContains(t, s.text(before+secret+after), secret)
	})
}
