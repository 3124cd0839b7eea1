// Package lab plays scenarios: a topology of network namespaces around a node,
// any programs in them, steps, and what must come of each.
//
//	scenario (YAML)  → Load     what is written, checked: faults with their places
//	                 → plan     namespaces, interfaces, programs, the node's objects
//	                 → Lab      the same, in the kernel; Up, Down
//	                 → Run      steps and their verdicts
//
// The node under test is a process of its own, this same binary, in a network
// namespace of its own: a lab touches no device, route or address of the
// machine. Labs run side by side; each has an identifier that all its names begin with.
package lab
