// Package classify finds the first rule of a policy that matches a packet, in a
// number of memory accesses that is bounded whatever the rules and whatever the
// traffic.
package classify
