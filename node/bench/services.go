package bench

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"strings"
)

// membersPerService is what other load balancers are measured with.
const membersPerService = 10

// vipPort is where virtual servers listen, memberPort where their members do.
const (
	vipPort    = 53
	memberPort = 9053
)

// vip is the address of virtual server i.
func vip(i int) netip.Addr {
	var b [4]byte
	binary.BigEndian.PutUint32(b[:], 172<<24|30<<16+uint32(i)+1)
	return netip.AddrFrom4(b)
}

// services are virtual servers as a Kubernetes user would write them, with members in all groups that receive.
func services(c *Config) string {
	if !c.has(LB) {
		return ""
	}
	kinds := c.kinds()
	var b strings.Builder
	for i := range c.Services {
		fmt.Fprintf(&b, "---\napiVersion: v1\nkind: Service\nmetadata: {name: s%05d}\nspec: {clusterIP: %s, ports: [{port: %d, targetPort: %d, protocol: UDP}]}\n", i, vip(i), vipPort, memberPort)
		fmt.Fprintf(&b, "---\napiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\nmetadata: {name: s%05d, labels: {kubernetes.io/service-name: s%05d}}\naddressType: IPv4\nports: [{port: %d, protocol: UDP}]\nendpoints:\n", i, i, memberPort)
		for j := range membersPerService {
			n := i*membersPerService + j
			fmt.Fprintf(&b, "- {addresses: [%s]}\n", kinds[j%len(kinds)].host(n/len(kinds)))
		}
	}
	return b.String()
}
