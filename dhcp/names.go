package dhcp

import (
	"encoding/binary"
	"strings"
)

// labels writes domain names as DNS has them, one after the other (RFC 1035
// section 3.1, RFC 8415 section 10).
func labels(names []string) (b []byte) {
	for _, name := range names {
		for label := range strings.SplitSeq(strings.TrimSuffix(name, "."), ".") {
			b = append(b, uint8(len(label)))
			b = append(b, label...)
		}
		b = append(b, 0)
	}
	return b
}

// compressedLabels is labels with pointers to ends that have been written
// already (RFC 1035 section 4.1.4); they count from the list's beginning (RFC 3397
// section 2). Only DHCPv4 has room to save, and only there it is allowed.
func compressedLabels(names []string) (b []byte) {
	const pointer, reach = 0xc000, 0x3fff
	written := map[string]int{}
	for _, name := range names {
		rest := strings.ToLower(strings.TrimSuffix(name, "."))
		for rest != "" {
			if at, found := written[rest]; found {
				b = binary.BigEndian.AppendUint16(b, uint16(pointer|at))
				break
			}
			if len(b) <= reach {
				written[rest] = len(b)
			}
			var label string
			label, rest, _ = strings.Cut(rest, ".")
			b = append(b, uint8(len(label)))
			b = append(b, label...)
		}
		if rest == "" {
			b = append(b, 0)
		}
	}
	return b
}
