// Package frametext writes Ethernet frames as one line of text and reads them
// back: for tests, scenarios and human output.
//
//	udp 10.0.0.1:9 > 10.0.0.2:53 len 12
//	tcp 10.0.0.1:1000 > 10.0.0.2:80 SA seq 5 ack 7 win 100 mss 1460 wscale 7
//	icmp 10.0.0.2 > 10.0.0.1 unreachable port quote { udp 10.0.0.1:9 > 10.0.0.2:53 len 12 }
//	ip 10.0.0.1 > 10.0.0.2 proto 4 quote { udp 192.0.2.1:9 > 192.0.2.2:53 len 12 }
//	arp 10.0.0.1 who-has 10.0.0.2
//
// # Grammar
//
// Words are separated by blanks; braces need none. Numbers are decimal or 0x....
// ADDR is an IPv4 or IPv6 address and chooses the version; AP is ADDR:PORT or
// [ADDR]:PORT.
//
//	line   = kind { attribute }
//	kind   = "udp"   AP ">" AP
//	       | "tcp"   AP ">" AP FLAGS          letters of FSRPAUEW (W is CWR), or "none"
//	       | "sctp"  AP ">" AP CHUNK          init init-ack data sack heartbeat heartbeat-ack abort
//	                                          shutdown shutdown-ack error cookie-echo cookie-ack
//	                                          shutdown-complete, or "chunk" N
//	       | "icmp"  ADDR ">" ADDR message
//	       | "icmp6" ADDR ">" ADDR message6
//	       | "arp"   ADDR "who-has" ADDR
//	       | "arp"   ADDR "is-at" MAC ["to" ADDR]   without "to": gratuitous, to itself, broadcast
//	       | "ip"    ADDR ">" ADDR "proto" N
//	       | "ether" "type" N
//	       | "raw"   HEX                      the whole frame; no attributes; HEX may have blanks
//
//	message  = "echo" | "reply" | "ttl-exceeded" | "reassembly-exceeded" | "frag-needed"
//	         | "unreachable" ("net" | "host" | "proto" | "port" | "admin")
//	         | "type" N "code" N
//	message6 = "echo" | "reply" | "ttl-exceeded" | "reassembly-exceeded" | "too-big"
//	         | "unreachable" ("net" | "admin" | "scope" | "host" | "port")
//	         | "ns" "target" ADDR | "na" "target" ADDR | "rs"
//	         | "type" N "code" N
//
// Attributes follow in any order, each at most once but tags:
//
//	eth MAC > MAC       source and destination; defaults below
//	vlan ID[.PCP]       802.1Q tag; tags nest as written, outermost first
//	qinq ID[.PCP]       802.1ad tag
//	pad N               N zero bytes after the packet
//	trailer HEX         bytes after the packet and its pad
//	cut N               only the first N bytes of the result: a truncated frame, or packet in a quote
//
//	ttl N  tos N        64 (neighbour discovery: 255) and 0; also hop limit and traffic class
//	id N                IPv4 identification, or that of the IPv6 fragment header; in icmp and icmp6: ipid N
//	df  mf  off N       fragments; off in bytes, multiple of 8. Over IPv6 mf and off add a fragment header
//	frag                IPv6: a fragment header also without mf and off
//	flow N              IPv6 flow label
//	options N           N bytes of IPv4 no-operation options, or an IPv6 destination options header
//	hbh N               N bytes of IPv6 hop-by-hop options header
//	badipcsum, ipcsum N the IPv4 header checksum is wrong, or N
//
//	data "TEXT"         payload; a Go string
//	hex HEX             payload
//	quote { line }      payload of an ICMP error, or of IP in IP (proto 4 and 41): an IP packet
//	len N               N bytes of payload: what is given, then a b c ... z a b ... by its place
//
//	badcsum, csum N     transport checksum wrong, or N
//	nocsum              UDP: 0
//	partial             TCP, UDP: the pseudo-header's sum, for the device to complete
//
//	seq N  ack N  win N  urg N                TCP; win is 65535
//	mss N  wscale N  sackok  ts N N           TCP options in the order Linux has them
//	opts HEX                                  TCP options as they are
//	id N  seq N                               echo, reply
//	mtu N                                     frag-needed, too-big
//	rest N                                    second word of any other ICMP message
//	lladdr MAC                                ns, na, rs: link-layer address option
//	router  solicited  override               na
//	tag N  flags N                            SCTP verification tag, chunk flags
//	itag N                                    SCTP init, init-ack: initiate tag
//	tsn N                                     SCTP data, sack
//	sha MAC  tha MAC                          ARP: the addresses in the packet; as in eth, if that is given
//
// # Defaults
//
// The MAC address of an IP address is 0a:58 and its last four bytes; of a
// multicast address, that of RFC 1112 section 6.4 or RFC 2464 section 7; of
// 255.255.255.255, broadcast. Checksums and lengths are right.
package frametext
