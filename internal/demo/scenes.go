package main

import (
	"fmt"
	"time"
)

// The cast: examples/demo.yaml binds the same addresses.
var (
	webA    = host{"0a:58:0a:f4:01:0a", "10.244.1.10", "fd00:244:1::10"}
	webB    = host{"0a:58:0a:f4:01:0b", "10.244.1.11", ""}
	dbA     = host{"0a:58:0a:f4:02:14", "10.244.2.20", "fd00:244:2::20"}
	router  = host{"02:50:56:56:44:52", "10.244.1.1", "fd00:244:1::1"}
	gateway = host{"00:00:5e:00:01:01", "192.0.2.254", ""} // the provider's router outside
)

const (
	everybody = "ff:ff:ff:ff:ff:ff"
	uplinkMAC = "0a:58:c0:00:02:01" // the router's, outside: 0a:58 and the bytes of 192.0.2.1
	server    = "198.51.100.7"      // somewhere outside
)

type host struct{ mac, v4, v6 string }

// to is a frame that h sends to a MAC address. It goes out a millisecond after
// the one before.
func (h host) to(mac, format string, args ...any) frame {
	return frame{time.Millisecond, fmt.Sprintf(format, args...) + " eth " + h.mac + " > " + mac}
}

// end is an end of a TCP connection.
type end struct {
	host
	hop string // MAC address that it sends to
	at  string // address:port
	seq uint32 // of its next byte
}

// tcp is a segment of size bytes from one end to the other; it counts them.
func tcp(from, to *end, flags string, size int, more string) frame {
	line := fmt.Sprintf("tcp %s > %s %s seq %d %s", from.at, to.at, flags, from.seq, more)
	if flags != "S" {
		line += fmt.Sprintf(" ack %d", to.seq)
	}
	from.seq += uint32(size)
	if flags == "S" || flags == "SA" || flags == "FA" {
		from.seq++ // SYN and FIN take a sequence number each (RFC 9293 section 3.4)
	}
	return from.to(from.hop, "%s", line)
}

// handshake opens a connection.
func handshake(c, s *end) []frame {
	const options = "win 64240 mss 1460 sackok wscale 7"
	return []frame{tcp(c, s, "S", 0, options), tcp(s, c, "SA", 0, options), tcp(c, s, "A", 0, "")}
}

// ask sends a question and its answer.
func ask(c, s *end, question, answer string) []frame {
	return []frame{
		tcp(c, s, "PA", len(question), fmt.Sprintf("data %q", question)), tcp(s, c, "A", 0, ""),
		tcp(s, c, "PA", len(answer), fmt.Sprintf("data %q", answer)), tcp(c, s, "A", 0, ""),
	}
}

// goodbye closes a connection from both ends.
func goodbye(c, s *end) []frame {
	return []frame{tcp(c, s, "FA", 0, ""), tcp(s, c, "FA", 0, ""), tcp(c, s, "A", 0, "")}
}

// scenes is the play.
func scenes() []scene {
	return []scene{
		addresses(), names(), conversation(), pings(), six(), spoofing(), outside(), nobody(), sizes(), oddities(),
	}
}

func addresses() scene {
	return scene{
		title: "Who has this address?",
		story: "web/a looks for its gateway, and the router answers. It looks for its neighbour web/b, " +
			"and the switch answers in its place: the address is bound to a port, so nobody else " +
			"has to hear the question.",
		frames: []frame{
			webA.to(everybody, "arp %s who-has %s", webA.v4, router.v4),
			webA.to(everybody, "arp %s who-has %s", webA.v4, webB.v4),
		},
		sent: map[string]int{"web/a": 2},
	}
}

func names() scene {
	// RFC 1035 section 4: header, the question for shop.example IN A, an answer of 60 s.
	const (
		asked    = "0473686f70076578616d706c650000010001"
		question = "1f2a01000001000000000000" + asked
		answer   = "1f2a81800001000100000000" + asked + "c00c000100010000003c0004c6336407"
	)
	return scene{
		title: "A question within the segment",
		story: "web/a asks web/b for a name (DNS over UDP). Both are in one segment: the frames go " +
			"through unchanged.",
		frames: []frame{
			webA.to(webB.mac, "udp %s:40053 > %s:53 hex "+question, webA.v4, webB.v4),
			webB.to(webA.mac, "udp %s:53 > %s:40053 hex "+answer, webB.v4, webA.v4),
		},
		sent: map[string]int{"web/a": 1, "web/b": 1},
	}
}

func conversation() scene {
	c := &end{webA, router.mac, webA.v4 + ":51000", 1000}
	s := &end{dbA, router.mac, dbA.v4 + ":6379", 7000}
	frames := handshake(c, s)
	frames = append(frames, ask(c, s, "PING\r\n", "+PONG\r\n")...)
	frames = append(frames, goodbye(c, s)...)
	return scene{
		title: "A TCP conversation across segments",
		story: "web/a talks to the store db/a. They are in different segments, so each sends to the " +
			"router's MAC address, and the router sends on: with MAC addresses of the other segment " +
			"and a TTL lowered by one. The switch follows the connection from handshake to close.",
		frames: frames,
		sent:   map[string]int{"web/a": 4, "db/a": 6},
	}
}

func pings() scene {
	return scene{
		title: "ping, and the first step of traceroute",
		story: "A ping to db/a and its answer; a ping to the router itself, which answers; and one " +
			"with TTL 1, as traceroute sends: it may not be routed, and the router says so.",
		frames: []frame{
			webA.to(router.mac, "icmp %s > %s echo id 77 seq 1 len 56", webA.v4, dbA.v4),
			dbA.to(router.mac, "icmp %s > %s reply id 77 seq 1 len 56", dbA.v4, webA.v4),
			webA.to(router.mac, "icmp %s > %s echo id 78 seq 1 len 56", webA.v4, router.v4),
			webA.to(router.mac, "icmp %s > %s echo id 79 seq 1 ttl 1 len 56", webA.v4, dbA.v4),
		},
		sent:  map[string]int{"web/a": 3, "db/a": 1},
		drops: []string{"TTL_EXCEEDED"},
	}
}

func six() scene {
	return scene{
		title: "The same with IPv6",
		story: "Neighbour discovery instead of ARP, then a ping between the segments. One code path " +
			"serves both versions.",
		frames: []frame{
			webA.to("33:33:ff:00:00:01", "icmp6 %s > ff02::1:ff00:1 ns target %s lladdr %s", webA.v6, router.v6, webA.mac),
			webA.to(router.mac, "icmp6 %s > %s echo id 80 seq 1 len 56", webA.v6, dbA.v6),
			dbA.to(router.mac, "icmp6 %s > %s reply id 80 seq 1 len 56", dbA.v6, webA.v6),
		},
		sent: map[string]int{"web/a": 2, "db/a": 1},
	}
}

func spoofing() scene {
	return scene{
		title: "web/b pretends to be somebody else",
		story: "It sends with the address of web/a, then tells everybody that it is the gateway. " +
			"Both are refused at its own port, before anybody sees them.",
		frames: []frame{
			webB.to(router.mac, "udp %s:9999 > %s:6379 data \"FLUSHALL\\r\\n\"", webA.v4, dbA.v4),
			webB.to(everybody, "arp %s is-at %s", router.v4, webB.mac),
		},
		drops: []string{"SPOOF_GUARD", "SPOOF_GUARD"},
	}
}

func outside() scene {
	c := &end{webA, router.mac, webA.v4 + ":52000", 3000}
	s := &end{gateway, uplinkMAC, server + ":80", 88000}
	frames := handshake(c, s)
	frames = append(frames[:1], append([]frame{
		gateway.to(uplinkMAC, "arp %s is-at %s to 192.0.2.1", gateway.v4, gateway.mac),
	}, frames[1:]...)...)
	frames = append(frames, ask(c, s, "GET / HTTP/1.0\r\n\r\n", "HTTP/1.0 204 No Content\r\n\r\n")...)
	forged := gateway.to(uplinkMAC, "tcp %s > %s R seq 1999999999 win 0", s.at, c.at)
	frames = append(frames, forged)
	frames = append(frames, goodbye(c, s)...)
	frames = append(frames, gateway.to(everybody, "arp %s who-has 192.0.2.1", gateway.v4))
	return scene{
		title: "To the outside, by way of the uplink",
		story: "web/a opens a connection to a server far away. The default route leads to " + gateway.v4 + ", " +
			"whose MAC address the router does not know: it asks for it, and keeps the first packet until the " +
			"answer is there. Somebody who wants to break the connection forges a reset; its sequence " +
			"number is far outside the window, so it is dropped and the connection lives on. At the " +
			"end the router outside asks for ours, which answers.",
		frames: frames,
		sent:   map[string]int{"uplink": 8, "web/a": 4},
		drops:  []string{"CT_INVALID"},
	}
}

func nobody() scene {
	return scene{
		title: "Nobody there",
		story: "A ping to an address of the uplink's network that nobody has. The router asks three times, a second " +
			"apart; then it gives up and tells the sender.",
		frames: []frame{
			webA.to(router.mac, "icmp %s > 192.0.2.77 echo id 81 seq 1 len 56", webA.v4),
		},
		sent:  map[string]int{"uplink": 3, "web/a": 1},
		drops: []string{"NEIGHBOR_UNRESOLVED"},
	}
}

func sizes() scene {
	return scene{
		title: "Too large for the uplink",
		story: "The uplink takes packets of at most 1400 bytes. One of 1500 that must not be " +
			"fragmented (DF) comes back as an ICMP error that names the size; the same without DF " +
			"leaves in two fragments. Two minutes have passed, so the router also asks " +
			gateway.v4 + " whether it is still there.",
		frames: []frame{
			webA.to(router.mac, "udp %s:5000 > %s:5000 id 1 df len 1472", webA.v4, server),
			gateway.to(uplinkMAC, "arp %s is-at %s to 192.0.2.1", gateway.v4, gateway.mac),
			webA.to(router.mac, "udp %s:5000 > %s:5000 id 2 len 1472", webA.v4, server),
		},
		sent:  map[string]int{"uplink": 3, "web/a": 1},
		drops: []string{"FRAG_NEEDED"},
	}
}

func oddities() scene {
	return scene{
		title: "Frames that should not be",
		story: "One with a VLAN tag that its port does not carry, one that ends in the middle of a header, and " +
			"one whose IPv4 header says of itself that it is shorter than any can be.",
		frames: []frame{
			webB.to(webA.mac, "udp %s:5000 > %s:5000 vlan 30 data \"tagged\"", webB.v4, webA.v4),
			webB.to(webA.mac, "udp %s:5000 > %s:5000 data \"cut short\" cut 30", webB.v4, webA.v4),
			{time.Millisecond, "raw 0a580af4010a 0a580af4010b 0800 42000020000000004011000000000000 0af4010b0af4010a 1388138800140000"},
		},
		drops: []string{"VLAN_FILTERED", "TRUNCATED_HEADER", "INVALID_HEADER"},
	}
}
