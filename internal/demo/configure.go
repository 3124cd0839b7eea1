package main

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/sluice-net/sluice/node/replay"
	"github.com/sluice-net/sluice/packet"
	"github.com/sluice-net/sluice/port/pcap"
)

// hostPorts is how many senders of a capture get a port of their own.
const hostPorts = 12

// writeConfiguration writes a configuration on which a capture of unknown
// origin makes sense: a plain switch with a port for each of the busiest
// senders, one for the rest, and a segment for each VLAN.
func writeConfiguration(w io.Writer, capture string) error {
	in, err := pcap.Open(capture)
	if err != nil {
		return err
	}
	defer in.Close() //nolint:errcheck // it is only read
	frames, vlans := map[packet.MAC]int{}, map[uint16]bool{}
	var f pcap.Frame
	for in.Next(&f) == nil { // the replay will tell of damage
		if len(f.Data) < packet.EthernetSize {
			continue
		}
		if mac := packet.MAC(f.Data[6:12]); mac != (packet.MAC{}) && mac[0]&1 == 0 {
			frames[mac]++
		}
		if len(f.Data) >= packet.EthernetSize+2 && binary.BigEndian.Uint16(f.Data[12:]) == packet.EtherTypeVLAN {
			vlans[binary.BigEndian.Uint16(f.Data[14:])&0xfff] = true
		}
	}
	senders := slices.SortedFunc(maps.Keys(frames), func(a, b packet.MAC) int {
		return cmp.Or(cmp.Compare(frames[b], frames[a]), slices.Compare(a[:], b[:]))
	})
	delete(vlans, 0) // a priority tag names no VLAN (IEEE 802.1Q section 6.9)
	delete(vlans, 4095)

	trunk := ""
	if len(vlans) > 0 {
		trunk = "  vlan: {mode: trunk}\n"
	}
	var b strings.Builder
	fmt.Fprintf(&b, "# A plain switch for %s, made from what its frames say.\n", capture)
	b.WriteString("# Add subnets to the segment, and ip to the addresses, to have it route.\n")
	b.WriteString("apiVersion: sluice.dev/v1\nkind: Segment\nmetadata: {name: lan}\nspec: {router: none, mtu: 65535} # captures have super-frames\n")
	for _, id := range slices.Sorted(maps.Keys(vlans)) {
		fmt.Fprintf(&b, "---\napiVersion: sluice.dev/v1\nkind: Segment\nmetadata: {name: vlan-%d}\nspec: {router: none, vlan: %d, mtu: 65535}\n", id, id)
	}
	for i, mac := range senders[:min(len(senders), hostPorts)] {
		fmt.Fprintf(&b, "---\napiVersion: sluice.dev/v1\nkind: Port\nmetadata: {name: host-%02d}\nspec:\n  segment: lan\n%s", i+1, trunk)
		fmt.Fprintf(&b, "  addresses: [{mac: '%s'}]\n  guard: false # it may send with any IP address\n", mac)
	}
	fmt.Fprintf(&b, "---\n# Whoever has no port of its own.\napiVersion: sluice.dev/v1\nkind: Port\nmetadata: {name: %s}\nspec:\n  segment: lan\n%s", replay.UplinkPort, trunk)
	_, err = io.WriteString(w, b.String())
	return err
}
