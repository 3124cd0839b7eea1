package control

import (
	"strconv"

	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/sluice-net/sluice/api"
)

// group checks the selectors of a Group; the rest of what it says, package ruleset reads.
func (c *checker) group(g *api.Group) {
	c.selector(at("spec", "podSelector"), g.Spec.PodSelector)
	c.selector(at("spec", "namespaceSelector"), g.Spec.NamespaceSelector)
}

// namedPorts checks the names that a Port has for ports of its workload.
func (c *checker) namedPorts(p *api.Port) {
	names := c.unique()
	for i, n := range p.Spec.NamedPorts {
		where := at("spec", "namedPorts").Index(i).Child("name")
		if len(validation.IsValidPortName(n.Name)) > 0 {
			c.fault(where, strconv.Quote(clip(n.Name))+" is not a port's name", portNameForm)
		}
		protocol := n.Protocol
		if protocol == "" {
			protocol = api.L4TCP
		}
		what := string(protocol) + " " + clip(n.Name)
		names.add(where, what, what)
	}
}
