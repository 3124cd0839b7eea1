package lab

import (
	"maps"
	"net/netip"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/sluice-net/sluice/api"
	"github.com/sluice-net/sluice/control"
)

// compile makes the node's objects of the scenario's: each port that a pod or
// host is attached to gets its device, and pods without addresses get those
// that the node would have given them. Then it asks what all that means, for
// the other ends have to be set up accordingly.
func (p *plan) compile() control.Faults {
	ports := map[string]*netInterface{}
	p.eachPort(func(f *netInterface) { ports[f.port] = f })
	var others []*control.Object
	written := map[string][]*control.Object{} // Pods and Ports of the scenario that are to be completed
	for _, o := range p.scenario.objects {
		if name := portName(o); (o.Kind == "Port" || o.Kind == "Pod") && ports[name] != nil {
			written[name] = append(written[name], o)
		} else {
			others = append(others, o)
		}
	}
	allocated, faults := p.allocate(others, written)
	if len(faults) > 0 {
		return faults
	}
	p.objects = others
	for _, name := range sortedNames(ports) {
		o, wrong := control.NewObject(p.portObject(ports[name], written[name], allocated[name]))
		faults = append(faults, p.placed(wrong, ports[name])...)
		p.objects = append(p.objects, o)
	}
	if len(faults) > 0 {
		return faults
	}
	p.initial = p.objects
	model, faults := control.Compile(control.Input{Objects: p.objects, Revision: 1})
	if len(faults) > 0 {
		return p.located(faults)
	}
	for i := range model.Ports {
		if f := ports[model.Ports[i].Name]; f != nil {
			p.settle(f, model.Ports[i], model)
		}
	}
	return nil
}

func portName(o *control.Object) string {
	if o.Namespace == "" {
		return o.Name
	}
	return o.Namespace + "/" + o.Name
}

// placed gives faults of objects that the lab made the place of what they were
// made of.
func (p *plan) placed(faults control.Faults, f *netInterface) control.Faults {
	for i := range faults {
		faults[i].File, faults[i].Line, faults[i].Column = p.scenario.File, f.at.line, f.at.column
	}
	return faults
}

// located gives faults of the compiler their places in the scenario.
func (p *plan) located(faults control.Faults) control.Faults {
	var made, written control.Faults
	for _, fault := range faults {
		switch _, port, _ := strings.Cut(fault.Object, " "); {
		case fault.File == p.scenario.File:
			written = append(written, fault)
		case fault.File == "" && p.port(port) != nil:
			made = append(made, p.placed(control.Faults{fault}, p.port(port))...)
		default:
			made = append(made, fault)
		}
	}
	return append(p.scenario.Config.moved(written), made...)
}

// pod returns the pod of a port, nil if it is a host's.
func (p *plan) pod(port string) *Pod {
	for i := range p.scenario.Pods {
		if p.scenario.Pods[i].Name == port {
			return &p.scenario.Pods[i]
		}
	}
	return nil
}

// allocate asks which addresses pods would get, by compiling them as
// Kubernetes' Pods.
func (p *plan) allocate(others []*control.Object, written map[string][]*control.Object) (map[string][]control.Address, control.Faults) {
	objects := slices.Clone(others)
	var faults control.Faults
	allocated := map[string][]control.Address{}
	p.eachPort(func(f *netInterface) {
		pod := p.pod(f.port)
		asPod := pod != nil && strings.Contains(f.port, "/") && pod.Addresses == nil && pod.MAC.IsZero() && len(pod.VLANs) == 0
		for _, o := range written[f.port] {
			asPod = asPod && o.Kind == "Pod"
		}
		var value any
		if asPod {
			allocated[f.port] = nil
			value = p.podObject(pod, written[f.port])
		} else {
			value = p.portObject(f, written[f.port], nil)
		}
		o, wrong := control.NewObject(value)
		faults = append(faults, p.placed(wrong, f)...)
		objects = append(objects, o)
	})
	if len(faults) > 0 || len(allocated) == 0 {
		return nil, faults
	}
	model, faults := control.Compile(control.Input{Objects: objects, Revision: 1})
	if len(faults) > 0 {
		return nil, p.located(faults)
	}
	for i := range model.Ports {
		if _, wanted := allocated[model.Ports[i].Name]; wanted {
			allocated[model.Ports[i].Name] = model.Ports[i].Addresses
		}
	}
	return allocated, nil
}

// podObject is the Pod that a scenario's pod would be in Kubernetes.
func (p *plan) podObject(pod *Pod, written []*control.Object) *corev1.Pod {
	namespace, name, found := strings.Cut(pod.Name, "/")
	if !found {
		namespace, name = "", pod.Name
	}
	o := &corev1.Pod{}
	for _, w := range written {
		if v, ok := w.Value.(*corev1.Pod); ok {
			o = v.DeepCopy()
		}
	}
	o.APIVersion, o.Kind = "v1", "Pod"
	o.Namespace, o.Name = namespace, name
	o.Spec.Containers = []corev1.Container{{Name: "lab"}}
	if pod.Segment != "" {
		o.Annotations = map[string]string{api.SegmentAnnotation: pod.Segment}
	}
	return o
}

// portObject is the Port that the node is told of: what the scenario's objects
// say of it, what its pod says, and its device.
func (p *plan) portObject(f *netInterface, written []*control.Object, allocated []control.Address) *api.Port {
	o := &api.Port{}
	o.APIVersion, o.Kind = api.APIVersion, "Port"
	o.Labels = map[string]string{}
	for _, w := range written {
		switch v := w.Value.(type) {
		case *api.Port:
			o.Spec = v.Spec
		case *corev1.Pod:
			if segment := v.Annotations[api.SegmentAnnotation]; segment != "" {
				o.Spec.Segment = segment
			}
			for _, ip := range v.Status.PodIPs {
				if a, err := netip.ParseAddr(ip.IP); err == nil {
					o.Spec.Addresses = append(o.Spec.Addresses, api.PortAddress{IP: a})
				}
			}
		}
		maps.Copy(o.Labels, w.Meta().Labels)
	}
	namespace, name, found := strings.Cut(f.port, "/")
	if !found {
		namespace, name = "", f.port
	}
	o.Namespace, o.Name = namespace, name
	if pod := p.pod(f.port); pod != nil {
		pod.complete(o)
	}
	if len(allocated) > 0 {
		o.Spec.Addresses = nil
		for _, a := range allocated {
			o.Spec.Addresses = append(o.Spec.Addresses, api.PortAddress{IP: a.IP, MAC: a.MAC})
		}
	}
	o.Spec.Device = p.deviceOf(f)
	return o
}

// complete writes what a pod says into its Port.
func (pod *Pod) complete(o *api.Port) {
	maps.Copy(o.Labels, pod.Labels)
	if pod.Port != nil {
		// The fields that it does not have stay as they are.
		_ = pod.portSpec(&o.Spec) // checked when it was read
	}
	if pod.Segment != "" {
		o.Spec.Segment = pod.Segment
	}
	if pod.MTU != 0 {
		o.Spec.MTU = pod.MTU
	}
	if pod.Addresses != nil {
		o.Spec.Addresses = nil
		for _, a := range *pod.Addresses {
			o.Spec.Addresses = append(o.Spec.Addresses, api.PortAddress{IP: a, MAC: pod.MAC})
		}
	}
	if len(o.Spec.Addresses) == 0 && !pod.MAC.IsZero() {
		o.Spec.Addresses = []api.PortAddress{{MAC: pod.MAC}}
	}
}

// settle sets an interface up for what the model says of the port at its
// other end.
func (p *plan) settle(f *netInterface, port *control.Port, m *control.Model) {
	f.mtu = port.MTU
	pod := p.pod(f.port)
	if pod == nil {
		return // a host's: its addresses are its own
	}
	for _, a := range port.Addresses {
		if f.mac.IsZero() {
			f.mac = a.MAC
		}
		if !a.IP.IsValid() {
			continue
		}
		bits := a.IP.BitLen()
		if port.Segment >= 0 {
			segment := &m.Segments[port.Segment]
			for _, subnet := range segment.Subnets {
				if !subnet.Prefix.Contains(a.IP) {
					continue
				}
				bits = subnet.Prefix.Bits()
				if segment.Router >= 0 && pod.Gateway == "" && !slices.Contains(f.gateways, subnet.Gateway) {
					f.gateways = append(f.gateways, subnet.Gateway)
				}
			}
		}
		f.addresses = append(f.addresses, netip.PrefixFrom(a.IP, bits))
	}
	if isAddress(pod.Gateway) {
		f.gateways = []netip.Addr{netip.MustParseAddr(pod.Gateway)}
	}
}

func isAddress(text string) bool {
	_, err := netip.ParseAddr(text)
	return err == nil
}
