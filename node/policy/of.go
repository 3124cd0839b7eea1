package policy

import (
	"github.com/sluice-net/sluice/control"
	"github.com/sluice-net/sluice/firewall/policy"
)

// Of returns a model's policy; for a model that is made by hand, without one, one that filters no port.
func Of(m *control.Model) *policy.Policy {
	if m.Firewall != nil {
		return m.Firewall
	}
	return &policy.Policy{Sets: []*policy.Set{nil, {}}, Excluded: policy.None}
}
