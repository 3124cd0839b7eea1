package lint

import "github.com/sluice-net/sluice/firewall/policy"

// networkPolicy is the kind of Kubernetes' objects whose rules are a sum, and have no order.
const networkPolicy = "NetworkPolicy"

func isNetworkPolicy(e *entry) bool { return e.section.Origin.Kind == networkPolicy }

// isClusterWide reports whether a rule comes of Kubernetes' policies of administrators.
func isClusterWide(e *entry) bool {
	switch e.section.Origin.Kind {
	case "ClusterNetworkPolicy", "AdminNetworkPolicy", "BaselineAdminNetworkPolicy":
		return true
	}
	return false
}

// isolates reports whether a rule is the isolation of a NetworkPolicy, which nobody wrote and nobody can
// leave out. That it does nothing says no more than that another policy isolates the same pods.
func isolates(e *entry) bool { return isNetworkPolicy(e) && e.action != policy.Allow }

// verdict is what it means for a rule that an earlier one takes packets of it.
type verdict uint8

const (
	agrees    verdict = iota // the other decides the same
	overrules                // it decides otherwise, as its kind is there to do
	contradicts
)

// compare says what it means for e that o, which is before it, takes packets of it.
func compare(e, o *entry) verdict {
	switch {
	case o.action == e.action, isNetworkPolicy(e) && isNetworkPolicy(o):
		return agrees
	case isNetworkPolicy(o) && isClusterWide(e): // of the tier Baseline, for those of Admin come before
		return overrules
	}
	return contradicts
}
