package main

import "slices"

// way is how two pods are joined.
type way struct {
	name  string
	about string

	// device is the type of the ports for Sluice; empty for the kernel's own ways.
	device string
	flags  []string // of the daemon, besides
	bridge bool

	pods   [2]string // namespaces
	node   string    // namespace of the bridge or the daemon
	daemon int       // process; 0 for the kernel's own ways
	api    string    // where it answers
	ports  int       // of the daemon; 0 is one for each pod
	stop   func() error
}

// baseline is the way that the others are compared with.
const baseline = "bridge"

func allWays() []*way {
	return []*way{
		{name: "veth", about: "one veth pair, nothing between: the limit"},
		{name: baseline, about: "Linux bridge, super-frames pass", bridge: true},
		{name: "afpacket", about: "Sluice, packet sockets with virtio headers", device: "afpacket"},
		{name: "tap", about: "Sluice, TAPs with virtio headers", device: "tap"},
		{name: "afpacket-awake", about: "the same, --cpu-latency 0s", device: "afpacket", flags: []string{"--cpu-latency", "0s"}},
		{name: "tap-awake", about: "the same, --cpu-latency 0s", device: "tap", flags: []string{"--cpu-latency", "0s"}},
		{name: "afxdp", about: "Sluice, AF_XDP (native, copy); no super-frames", device: "afxdp"},
	}
}

func choose(ways []*way, names []string) []*way {
	return slices.DeleteFunc(ways, func(w *way) bool { return !slices.Contains(names, w.name) })
}
