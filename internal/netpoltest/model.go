package netpoltest

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// ICMP stands for the protocols that have no ports: echo requests of either family.
const ICMP corev1.Protocol = "ICMP"

// NewCluster returns the cluster that Kubernetes' own tests of network policies use, without a policy:
// namespaces x, y and z, pods a, b and c in each.
//
//	         x (ns=x team=red)   y (ns=y team=blue)   z (ns=z, no team)
//	a        10.0.1.10           10.0.2.10            10.0.3.10            pod=a tier=front
//	b        10.0.1.11           10.0.2.11            10.0.3.11            pod=b tier=back
//	c        10.0.1.12           10.0.2.12            10.0.3.12            pod=c
//
// IPv6 is fd00:0:0:1::a to fd00:0:0:3::c. Each pod serves 80 and 81 of TCP, UDP and SCTP, with names such as
// serve-80-tcp; web is TCP port 80 of a and TCP port 81 of b, there of a sidecar.
func NewCluster() *Cluster {
	c := &Cluster{}
	for i, ns := range []string{"x", "y", "z"} {
		labels := map[string]string{"ns": ns}
		if team := []string{"red", "blue", ""}[i]; team != "" {
			labels["team"] = team
		}
		c.Namespaces = append(c.Namespaces, &corev1.Namespace{
			TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Namespace"}, ObjectMeta: metav1.ObjectMeta{Name: ns, Labels: labels},
		})
		for j, name := range []string{"a", "b", "c"} {
			c.Pods = append(c.Pods, newPod(ns, name, i+1, j))
		}
	}
	return c
}

func newPod(ns, name string, i, j int) *corev1.Pod {
	labels := map[string]string{"pod": name}
	if tier := []string{"front", "back", ""}[j]; tier != "" {
		labels["tier"] = tier
	}
	v4, v6 := fmt.Sprintf("10.0.%d.%d", i, 10+j), fmt.Sprintf("fd00:0:0:%d::%x", i, 10+j)
	var ports []corev1.ContainerPort
	for _, p := range protocolsWithPorts() {
		for _, number := range []int32{80, 81} {
			ports = append(ports, corev1.ContainerPort{Name: fmt.Sprintf("serve-%d-%s", number, strings.ToLower(string(p))), ContainerPort: number, Protocol: p})
		}
	}
	spec := corev1.PodSpec{Containers: []corev1.Container{{Name: "serve", Image: "agnhost", Ports: ports}}}
	web := corev1.Container{Name: "web", Image: "agnhost", Ports: []corev1.ContainerPort{{Name: "web", ContainerPort: int32(80 + j)}}}
	switch j {
	case 0:
		spec.Containers = append(spec.Containers, web)
	case 1:
		always := corev1.ContainerRestartPolicyAlways
		web.RestartPolicy = &always
		spec.InitContainers = []corev1.Container{web}
	case 2:
		spec.InitContainers = []corev1.Container{web} // it has ended before anybody can reach it
	}
	return &corev1.Pod{
		TypeMeta:   metav1.TypeMeta{APIVersion: "v1", Kind: "Pod"},
		ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: name, Labels: labels},
		Spec:       spec,
		Status:     corev1.PodStatus{PodIP: v4, PodIPs: []corev1.PodIP{{IP: v4}, {IP: v6}}},
	}
}

func protocolsWithPorts() []corev1.Protocol {
	return []corev1.Protocol{corev1.ProtocolTCP, corev1.ProtocolUDP, corev1.ProtocolSCTP}
}

// Subnets are those of the cluster's namespaces, v4 and v6.
func Subnets(namespace string) []netip.Prefix {
	i := strings.Index("xyz", namespace) + 1
	return []netip.Prefix{netip.MustParsePrefix(fmt.Sprintf("10.0.%d.0/24", i)), netip.MustParsePrefix(fmt.Sprintf("fd00:0:0:%d::/64", i))}
}

// Outside are addresses that are no pod's, two of each family.
func Outside() []netip.Addr {
	return []netip.Addr{
		netip.MustParseAddr("192.0.2.100"), netip.MustParseAddr("198.51.100.7"),
		netip.MustParseAddr("2001:db8::64"), netip.MustParseAddr("2001:db8:ffff::7"),
	}
}

// Pod returns one by its name with its namespace: x/a. It is nil if there is none.
func (c *Cluster) Pod(name string) *corev1.Pod {
	for _, p := range c.Pods {
		if p.Namespace+"/"+p.Name == name {
			return p
		}
	}
	return nil
}

// Ends returns all ends of a family: the pods, then the addresses outside.
func (c *Cluster) Ends(v6 bool) (ends []End) {
	for _, p := range c.Pods {
		if a := AddressOf(p, v6); a.IsValid() {
			ends = append(ends, End{p, a})
		}
	}
	for _, a := range Outside() {
		if a.Is6() == v6 {
			ends = append(ends, End{nil, a})
		}
	}
	return ends
}

// Connections returns all that can be tried between different ends of which one at least is a pod: of
// both families, each protocol, and ports that are served and one that is not.
func (c *Cluster) Connections() (list []Connection) {
	for _, v6 := range []bool{false, true} {
		ends := c.Ends(v6)
		for _, from := range ends {
			for _, to := range ends {
				if from == to || from.Pod == nil && to.Pod == nil {
					continue
				}
				for _, p := range protocolsWithPorts() {
					for _, port := range []int32{80, 81, 8080} {
						list = append(list, Connection{from, to, p, port})
					}
				}
				list = append(list, Connection{from, to, ICMP, 0})
			}
		}
	}
	return list
}

// String prints an end as x/a, or as its address.
func (e End) String() string {
	if e.Pod == nil {
		return e.Address.String()
	}
	return e.Pod.Namespace + "/" + e.Pod.Name
}

// String prints a connection: TCP x/a 10.0.1.10 > y/b 10.0.2.11 port 80.
func (x *Connection) String() string {
	return fmt.Sprintf("%s %s %s > %s %s port %d", x.Protocol, x.From, x.From.Address, x.To, x.To.Address, x.Port)
}

// Manifest returns all objects as one document that is a List, as kubectl prints them.
func (c *Cluster) Manifest() ([]byte, error) {
	return json.Marshal(map[string]any{"apiVersion": "v1", "kind": "List", "items": c.objects(true)})
}

// Policies returns the policies alone in the same form.
func (c *Cluster) Policies() ([]byte, error) {
	return json.Marshal(map[string]any{"apiVersion": "v1", "kind": "List", "items": c.objects(false)})
}

func (c *Cluster) objects(all bool) (items []any) {
	items = []any{}
	if all {
		for _, n := range c.Namespaces {
			items = append(items, n)
		}
		for _, p := range c.Pods {
			items = append(items, p)
		}
	}
	for _, p := range c.NetworkPolicies {
		items = append(items, p)
	}
	for _, p := range c.ClusterPolicies {
		items = append(items, p)
	}
	for _, p := range c.AdminPolicies {
		items = append(items, p)
	}
	if c.Baseline != nil {
		items = append(items, c.Baseline)
	}
	return items
}
