// Package api defines the native objects that users write: group sluice.dev,
// version v1. Kubernetes' own kinds are k8s.io/api's.
//
// What a value must be is said once, in struct tags that the strict decoder of
// package control checks and `explain` prints:
//
//	required:"true"   the field must be given
//	min, max          bounds of a number, or of the length of a list (max)
//	default           what a field that is not given means (see SetDefaults)
//	form:"network"    a prefix without host bits
//
// Enumerations are string types with a Values method. Numbers whose 0 has no
// meaning of its own take 0 for "not given"; where 0 or false means something,
// the field is a pointer.
package api

import (
	"encoding/hex"
	"fmt"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// APIGroup and Version are the native kinds' apiVersion.
const (
	APIGroup   = "sluice.dev"
	Version    = "v1"
	APIVersion = APIGroup + "/" + Version
)

// SegmentAnnotation on a Namespace or Pod names the Segment that its ports
// belong to, instead of the one named after the Namespace.
const SegmentAnnotation = APIGroup + "/segment"

// TypeMeta and ObjectMeta are Kubernetes' own, not leaner copies: whatever
// `kubectl get -o yaml` prints must be accepted here, and tools that read
// these fields from Kubernetes objects read ours. The Pod type brings the
// package in anyway.
type (
	// TypeMeta holds apiVersion and kind.
	TypeMeta = metav1.TypeMeta
	// ObjectMeta holds name, namespace, labels and annotations, and the fields
	// that Kubernetes adds, which Sluice carries and does not read.
	ObjectMeta = metav1.ObjectMeta
)

// MAC is an Ethernet address, in text aa:bb:cc:dd:ee:ff. The zero MAC is "not
// given".
type MAC [6]byte

// IsZero reports whether m is not given.
func (m MAC) IsZero() bool { return m == MAC{} }

// IsMulticast reports whether the group bit is set (IEEE 802-2014 section
// 8.2): such an address can't be a station's own. Broadcast is one.
func (m MAC) IsMulticast() bool { return m[0]&1 != 0 }

func (m MAC) String() string {
	return fmt.Sprintf("%02x:%02x:%02x:%02x:%02x:%02x", m[0], m[1], m[2], m[3], m[4], m[5])
}

// MarshalText writes the form with colons.
func (m MAC) MarshalText() ([]byte, error) { return []byte(m.String()), nil }

// UnmarshalText reads six bytes in hexadecimal, two digits each, separated
// all by colons or all by hyphens.
func (m *MAC) UnmarshalText(text []byte) error {
	var v MAC
	if len(text) != 17 || text[2] != ':' && text[2] != '-' {
		return fmt.Errorf("%q is not a MAC address", text)
	}
	for i := range v {
		if i > 0 && text[3*i-1] != text[2] {
			return fmt.Errorf("%q is not a MAC address", text)
		}
		if _, err := hex.Decode(v[i:i+1], text[3*i:3*i+2]); err != nil {
			return fmt.Errorf("%q is not a MAC address", text)
		}
	}
	*m = v
	return nil
}
