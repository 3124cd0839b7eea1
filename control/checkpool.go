package control

import "github.com/sluice-net/sluice/api"

// pool checks the selectors of a Pool, and the port that members of a group have; the rest of what it says,
// package services reads.
func (c *checker) pool(p *api.Pool) {
	g := p.Spec.MemberGroup
	if g == nil {
		return
	}
	path := at("spec", "memberGroup")
	c.selector(path.Child("podSelector"), g.PodSelector)
	c.selector(path.Child("namespaceSelector"), g.NamespaceSelector)
	if g.Port != nil {
		c.portOrName(path.Child("port"), *g.Port)
	}
}
