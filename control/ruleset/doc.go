// Package ruleset makes a firewall policy of what users wrote: groups, services and security
// policies of ours, network policies of Kubernetes.
package ruleset
