package control

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"strconv"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// secret checks a Secret. No value of it is in a fault: those end in logs.
func (c *checker) secret(s *corev1.Secret) {
	size := 0
	for _, key := range sortedKeys(s.Data) {
		size += len(s.Data[key])
		if len(validation.IsConfigMapKey(key)) > 0 {
			c.fault(at("data").Key(cleanKey(key)), strconv.Quote(clip(key))+" is not a key of a Secret", "letters, digits, -, _ and ., at most 253")
		}
	}
	if size > corev1.MaxSecretSize {
		c.fault(at("data"), fmt.Sprintf("has %d bytes, at most %d are allowed", size, corev1.MaxSecretSize), "split the Secret")
	}
	if s.Type == corev1.SecretTypeTLS {
		c.keyPair(s.Data)
	}
}

// keyPair checks a certificate with its chain, and its key. Kubernetes looks only whether they are
// there; a pair that does not fit would be found when a client connects.
func (c *checker) keyPair(data map[string][]byte) {
	good := true
	for key, begin := range map[string]string{corev1.TLSCertKey: "CERTIFICATE", corev1.TLSPrivateKeyKey: "PRIVATE KEY"} {
		value, found := data[key]
		where := at("data").Key(key)
		switch {
		case !found:
			c.fault(at("data"), "the key "+key+" is missing", "a Secret of type kubernetes.io/tls has tls.crt and tls.key")
		case !isPEM(value):
			c.fault(where, "is not PEM text", pemHint(value, begin))
		default:
			continue
		}
		good = false
	}
	if !good {
		return
	}
	certificates, key := data[corev1.TLSCertKey], data[corev1.TLSPrivateKeyKey]
	if n := c.certificates(at("data").Key(corev1.TLSCertKey), certificates); n == 0 {
		return
	}
	if _, err := tls.X509KeyPair(certificates, key); err != nil {
		c.fault(at("data").Key(corev1.TLSPrivateKeyKey), "is no key of the first certificate of tls.crt: "+err.Error(), "the host's own certificate comes first, its chain after it")
	}
}

// certificates checks a chain and returns how many it has, 0 if any is at fault.
func (c *checker) certificates(path *field.Path, data []byte) (n int) {
	for block, rest := pem.Decode(data); block != nil; block, rest = pem.Decode(rest) {
		if block.Type != "CERTIFICATE" {
			continue
		}
		n++
		if _, err := x509.ParseCertificate(block.Bytes); err != nil {
			c.fault(path, fmt.Sprintf("certificate %d can't be read: %v", n, err), "the file may be cut off")
			return 0
		}
	}
	if n == 0 {
		c.fault(path, "has no certificate", pemHint(data, "CERTIFICATE"))
	}
	return n
}

func isPEM(data []byte) bool {
	block, _ := pem.Decode(data)
	return block != nil
}

// pemHint says what PEM looks like, or what was probably done twice.
func pemHint(value []byte, what string) string {
	once := make([]byte, base64.StdEncoding.DecodedLen(len(value)))
	if n, err := base64.StdEncoding.Decode(once, bytes.TrimSpace(value)); err == nil && isPEM(once[:n]) {
		return "it is in base64 twice: write it once, or under stringData as it is"
	}
	return "its first line is -----BEGIN " + what + "-----"
}
