package oracle_test

// Why verdicts differ; docs/sessions.md says more of each.
const (
	late         = "what lies below the window, in number or acknowledgement, the kernel passes without following it (since Linux 6.1); here it is dropped"
	overshot     = "the kernel passes, without following it, what goes beyond the window by less than another window; here it is dropped, and repeated once there is room"
	checksum     = "checksums of transport headers are the receiver's to verify: frames of local devices have none, and it would cost as much as all the rest"
	unknownICMP  = "an ICMP message that is no query and no error has no session: rules are asked about each"
	quotedNumber = "an ICMP error about TCP has to quote a sequence number in flight (RFC 5927)"
	sctpPickUp   = "associations are picked up in mid-stream as connections are, unless the section is strict"
)

// named are sequences with what becomes of their packets: + passes, - does not.
var named = []struct {
	why     string
	packets []string
	ours    string
	kernel  string // where it differs
	because string // why it does, if so
}{
	{why: "TCP from its beginning to its end", packets: join(opening, exchange, []string{
		"> tcp $c > $s FA seq 1101 ack 1501", "< tcp $s > $c A seq 1501 ack 1102", "< tcp $s > $c FA seq 1501 ack 1102", "> tcp $c > $s A seq 1102 ack 1502",
	}), ours: "+++++++++++"},
	{why: "half closed: the other end goes on sending", packets: join(opening, []string{
		"> tcp $c > $s FA seq 101 ack 501", "< tcp $s > $c A seq 501 ack 102", "< tcp $s > $c PA seq 501 ack 102 len 1000",
		"> tcp $c > $s A seq 102 ack 1501", "< tcp $s > $c FA seq 1501 ack 102", "> tcp $c > $s A seq 102 ack 1502",
	}), ours: "+++++++++"},
	{why: "both close at once", packets: join(opening, []string{
		"> tcp $c > $s FA seq 101 ack 501", "< tcp $s > $c FA seq 501 ack 101", "> tcp $c > $s A seq 102 ack 502", "< tcp $s > $c A seq 502 ack 102",
	}), ours: "+++++++"},
	{why: "everything is sent twice", packets: []string{
		"> tcp $c > $s S seq 100", "> tcp $c > $s S seq 100", "< tcp $s > $c SA seq 500 ack 101", "< tcp $s > $c SA seq 500 ack 101",
		"> tcp $c > $s A seq 101 ack 501", "> tcp $c > $s A seq 101 ack 501", "> tcp $c > $s PA seq 101 ack 501 len 1000", "> tcp $c > $s PA seq 101 ack 501 len 1000",
		"< tcp $s > $c A seq 501 ack 1101", "< tcp $s > $c A seq 501 ack 1101",
		"> tcp $c > $s FA seq 1101 ack 501", "> tcp $c > $s FA seq 1101 ack 501", "< tcp $s > $c FA seq 501 ack 1102", "< tcp $s > $c FA seq 501 ack 1102",
		"> tcp $c > $s A seq 1102 ack 502", "> tcp $c > $s A seq 1102 ack 502",
	}, ours: "++++++++++++++++"},
	{why: "simultaneous open", packets: []string{
		"> tcp $c > $s S seq 100", "< tcp $s > $c S seq 500", "> tcp $c > $s SA seq 100 ack 501", "< tcp $s > $c SA seq 500 ack 101",
		"> tcp $c > $s A seq 101 ack 501", "< tcp $s > $c A seq 501 ack 101", "> tcp $c > $s PA seq 101 ack 501 len 10",
	}, ours: "+++++++"},
	{why: "refused", packets: []string{"> tcp $c > $s S seq 100", "< tcp $s > $c RA seq 0 ack 101"}, ours: "++"},
	{why: "a refusal of another SYN", packets: []string{"> tcp $c > $s S seq 100", "< tcp $s > $c RA seq 0 ack 999"}, ours: "+-"},
	{why: "reset by the client", packets: join(opening, exchange, []string{"> tcp $c > $s R seq 1101"}), ours: "++++++++"},
	{why: "reset by the server", packets: join(opening, exchange, []string{"< tcp $s > $c RA seq 1501 ack 1101"}), ours: "++++++++"},
	{why: "a RST far outside the window, and the connection goes on", packets: join(opening, exchange, []string{
		"> tcp $c > $s R seq 3000000000", "> tcp $c > $s PA seq 1101 ack 1501 len 100",
	}), ours: "+++++++-+"},
	{why: "a RST inside the window but not exact is answered by its receiver, and the connection goes on", packets: join(opening, exchange, []string{
		"> tcp $c > $s R seq 1201", "> tcp $c > $s PA seq 1101 ack 1501 len 100", "< tcp $s > $c A seq 1501 ack 1201",
	}), ours: "++++++++++"},
	{why: "data beyond the window", packets: join(opening, []string{"> tcp $c > $s PA seq 200101 ack 501 len 100", "> tcp $c > $s PA seq 101 ack 501 len 100"}), ours: "+++-+"},
	{why: "data long acknowledged", packets: join(opening, []string{"> tcp $c > $s PA seq 4294000000 ack 501 len 100"}), ours: "+++-", kernel: "++++", because: late},
	{why: "an acknowledgement of what was never sent", packets: join(opening, []string{"> tcp $c > $s A seq 101 ack 999999", "> tcp $c > $s A seq 101 ack 501"}), ours: "+++-+"},
	{why: "an acknowledgement older than any window", packets: join(opening, []string{"> tcp $c > $s A seq 101 ack 4000000000"}), ours: "+++-", kernel: "++++", because: late},
	{why: "the handshake ends with an acknowledgement of nothing", packets: []string{
		"> tcp $c > $s S seq 100", "< tcp $s > $c SA seq 500 ack 101", "> tcp $c > $s A seq 101 ack 400",
	}, ours: "++-", kernel: "+++", because: late},
	{why: "an answer to another SYN", packets: []string{"> tcp $c > $s S seq 100", "< tcp $s > $c SA seq 500 ack 777"}, ours: "+-"},
	{why: "in mid-stream", packets: []string{"> tcp $c > $s A seq 5000 ack 9000", "< tcp $s > $c A seq 9000 ack 5000", "> tcp $c > $s PA seq 5000 ack 9000 len 100"}, ours: "+++"},
	{why: "data in mid-stream", packets: []string{"> tcp $c > $s PA seq 5000 ack 9000 len 1000", "< tcp $s > $c A seq 9000 ack 6000"}, ours: "++"},
	{why: "the first packet is a SYN/ACK", packets: []string{"> tcp $c > $s SA seq 5000 ack 9000"}, ours: "-"},
	{why: "a RST", packets: []string{"> tcp $c > $s R seq 5000"}, ours: "-"},
	{why: "a FIN", packets: []string{"> tcp $c > $s FA seq 5000 ack 9000"}, ours: "-"},
	{why: "no flags", packets: []string{"> tcp $c > $s none seq 5000"}, ours: "-"},
	{why: "all flags", packets: []string{"> tcp $c > $s FSRPAU seq 5000 ack 1"}, ours: "-"},
	{why: "SYN and FIN", packets: []string{"> tcp $c > $s SF seq 5000"}, ours: "-"},
	{why: "SYN and RST", packets: []string{"> tcp $c > $s SR seq 5000"}, ours: "-"},
	{why: "FIN without ACK", packets: join(opening, []string{"> tcp $c > $s F seq 101"}), ours: "+++-"},
	{why: "a scan within a connection", packets: join(opening, []string{"> tcp $c > $s none seq 101", "> tcp $c > $s FPU seq 101"}), ours: "+++--"},
	{why: "a wrong checksum", packets: []string{"> tcp $c > $s S seq 100 badcsum"}, ours: "+", kernel: "-", because: checksum},
	{why: "the tuple is used again after both have closed", packets: join(opening, []string{
		"> tcp $c > $s FA seq 101 ack 501", "< tcp $s > $c FA seq 501 ack 102", "> tcp $c > $s A seq 102 ack 502",
		"> tcp $c > $s S seq 90000", "< tcp $s > $c SA seq 7000 ack 90001", "> tcp $c > $s A seq 90001 ack 7001",
	}), ours: "+++++++++"},
	{why: "the tuple is used again after a RST", packets: join(opening, []string{
		"> tcp $c > $s R seq 101", "> tcp $c > $s S seq 90000", "< tcp $s > $c SA seq 7000 ack 90001", "> tcp $c > $s A seq 90001 ack 7001",
	}), ours: "+++++++"},
	{why: "a new SYN on a connection that lives: its answer decides", packets: join(opening, []string{
		"> tcp $c > $s S seq 90000", "< tcp $s > $c A seq 501 ack 101", "> tcp $c > $s R seq 101",
	}), ours: "++++++"},
	{why: "window scaling: what lies in the window is known from the SYNs", packets: []string{
		"> tcp $c > $s S seq 100 win 1000 wscale 7", "< tcp $s > $c SA seq 500 ack 101 win 1000 wscale 7", "> tcp $c > $s A seq 101 ack 501 win 1000",
		"< tcp $s > $c A seq 100501 ack 101 win 1000 len 100", "< tcp $s > $c A seq 400501 ack 101 win 1000 len 100",
	}, ours: "++++-"},
	{why: "a sender that goes beyond the window by less than another one", packets: join(opening, []string{
		"> tcp $c > $s PA seq 70101 ack 501 len 100",
	}), ours: "+++-", kernel: "++++", because: overshot},
	{why: "data with the SYN (fast open)", packets: []string{
		"> tcp $c > $s S seq 100 len 200", "< tcp $s > $c SA seq 500 ack 301", "< tcp $s > $c PA seq 501 ack 301 len 1000", "> tcp $c > $s A seq 301 ack 1501",
	}, ours: "++++"},
	{why: "data with the SYN, of which only the SYN is taken", packets: []string{
		"> tcp $c > $s S seq 100 len 200", "< tcp $s > $c SA seq 500 ack 101", "> tcp $c > $s PA seq 101 ack 501 len 200", "< tcp $s > $c A seq 501 ack 301",
	}, ours: "++++"},
	{why: "a SACK of what was not sent", packets: join([]string{
		"> tcp $c > $s S seq 100 sackok", "< tcp $s > $c SA seq 500 ack 101 sackok", "> tcp $c > $s A seq 101 ack 501",
	}, []string{"< tcp $s > $c A seq 501 ack 101 opts 0101050a000100000001ffff"}), ours: "+++-"},

	{why: "UDP and its answer", packets: []string{"> udp $c > $s len 100", "< udp $s > $c len 100", "> udp $c > $s len 0"}, ours: "+++"},
	{why: "UDP that begins at the server", packets: []string{"< udp $s > $c len 100", "> udp $c > $s len 100"}, ours: "++"},
	{why: "UDP with a wrong checksum", packets: []string{"> udp $c > $s len 100 badcsum"}, ours: "+", kernel: "-", because: checksum},
	{why: "UDP without checksum", packets: []string{"> udp $c > $s len 100 nocsum"}, ours: "+"},
	{why: "ping", packets: []string{"> icmp $C > $S echo id $p seq 1", "< icmp $S > $C reply id $p seq 1", "> icmp $C > $S echo id $p seq 2", "< icmp $S > $C reply id $p seq 2"}, ours: "++++"},
	{why: "an echo reply that nobody asked for", packets: []string{"< icmp $S > $C reply id $p seq 1"}, ours: "-"},
	{why: "a reply with another identifier", packets: []string{"> icmp $C > $S echo id $p seq 1", "< icmp $S > $C reply id 9 seq 1"}, ours: "+-"},
	{why: "timestamp request and reply", packets: []string{"> icmp $C > $S type 13 code 0 rest 0x70000001 len 12", "< icmp $S > $C type 14 code 0 rest 0x70000001 len 12"}, ours: "++"},
	{why: "a query of a type that does not exist", packets: []string{"> icmp $C > $S type 100 code 0 rest 1"}, ours: "+", kernel: "-", because: unknownICMP},
	{why: "an error about UDP", packets: []string{"> udp $c > $s len 100", "< icmp $S > $C unreachable port quote { udp $c > $s len 100 }"}, ours: "++"},
	{why: "from a router on the way", packets: []string{"> udp $c > $s len 100", "< icmp 10.9.9.9 > $C ttl-exceeded quote { udp $c > $s len 100 }"}, ours: "++"},
	{why: "an error about nothing", packets: []string{"< icmp $S > $C unreachable port quote { udp $c > $s len 100 }"}, ours: "-"},
	{why: "an error about the answer goes the other way", packets: []string{
		"> udp $c > $s len 100", "< udp $s > $c len 100", "> icmp $C > $S unreachable port quote { udp $s > $c len 100 }",
	}, ours: "+++"},
	{why: "an error that quotes its own receiver as the destination", packets: []string{
		"> udp $c > $s len 100", "< icmp $S > $C unreachable port quote { udp $s > $c len 100 }",
	}, ours: "+-"},
	{why: "an error about TCP that quotes a number in flight", packets: join(opening, exchange, []string{
		"< icmp 10.9.9.9 > $C frag-needed mtu 1400 quote { tcp $c > $s A seq 101 ack 501 len 1000 }",
	}), ours: "++++++++"},
	{why: "an error about TCP that quotes a number far from any in flight", packets: join(opening, exchange, []string{
		"< icmp 10.9.9.9 > $C frag-needed mtu 1400 quote { tcp $c > $s A seq 3000000000 ack 501 len 1000 }",
	}), ours: "+++++++-", kernel: "++++++++", because: quotedNumber},
	{why: "an error about a ping", packets: []string{"> icmp $C > $S echo id $p seq 1", "< icmp 10.9.9.9 > $C unreachable host quote { icmp $C > $S echo id $p seq 1 }"}, ours: "++"},
	{why: "an error about an error", packets: []string{
		"> udp $c > $s len 100", "< icmp $S > $C unreachable port quote { udp $c > $s len 100 }",
		"> icmp $C > $S unreachable port quote { icmp $S > $C unreachable port quote { udp $c > $s len 100 } }",
	}, ours: "++-"},
	{why: "an error with a wrong checksum", packets: []string{"> udp $c > $s len 100", "< icmp $S > $C unreachable port badcsum quote { udp $c > $s len 100 }"}, ours: "++", kernel: "+-", because: checksum},

	{why: "fragments in order", packets: []string{"> udp $c > $s len 1000 nocsum mf id 1", "> ip $C > $S proto 17 off 1008 id 1 len 500"}, ours: "++"},
	{why: "fragments in the wrong order", packets: []string{"> ip $C > $S proto 17 off 1008 id 1 len 500", "> udp $c > $s len 1000 nocsum mf id 1"}, ours: "++"},
	{why: "a fragment without its first", packets: []string{"> ip $C > $S proto 17 off 1008 id 1 len 500"}, ours: "-"},
	{why: "fragments of an answer", packets: []string{
		"> udp $c > $s len 10", "< ip $S > $C proto 17 off 1008 id 2 len 100", "< udp $s > $c len 1000 nocsum mf id 2",
	}, ours: "+++"},

	{why: "another protocol", packets: []string{"> ip $C > $S proto 132 len 4", "> ip $C > $S proto 253 len 100", "< ip $S > $C proto 253 len 100"}, ours: "-++"},
	{why: "SCTP from its beginning to its end", packets: []string{
		"> sctp $c > $s init itag 7", "< sctp $s > $c init-ack tag 7 itag 9", "> sctp $c > $s cookie-echo tag 9 len 8", "< sctp $s > $c cookie-ack tag 7",
		"> sctp $c > $s data tag 9 len 10", "< sctp $s > $c sack tag 7", "> sctp $c > $s shutdown tag 9", "< sctp $s > $c shutdown-ack tag 7", "> sctp $c > $s shutdown-complete tag 9",
	}, ours: "+++++++++"},
	{why: "SCTP with another's tag", packets: []string{
		"> sctp $c > $s init itag 7", "< sctp $s > $c init-ack tag 7 itag 9", "> sctp $c > $s cookie-echo tag 8 len 8", "< sctp $s > $c abort tag 3",
	}, ours: "++--"},
	{why: "SCTP INIT ACK without INIT", packets: []string{"> sctp $c > $s init-ack tag 7 itag 9"}, ours: "-"},
	{why: "SCTP aborted", packets: []string{"> sctp $c > $s init itag 7", "< sctp $s > $c abort tag 7"}, ours: "++"},
	{why: "SCTP data in mid-stream", packets: []string{"> sctp $c > $s data tag 9 len 10"}, ours: "+", kernel: "-", because: sctpPickUp},
	{why: "SCTP with a wrong checksum", packets: []string{"> sctp $c > $s init itag 7 badcsum"}, ours: "+", kernel: "-", because: checksum},
}
