// Package netdev finds, watches and changes network devices in network
// namespaces: what the drivers, the node, the labs and the doctor all need of
// rtnetlink and ethtool. Nothing of it is for the packet path.
package netdev
