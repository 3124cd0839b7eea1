// Package route forwards frames: it learns where addresses are, switches
// within segments and routes between them.
//
// A Config is what a revision says. Compile makes it a Forwarder, which is
// immutable and offers the deciders that node puts in order; a State holds what
// the node has learned, through all revisions.
//
//	         Security       Guard            Local                       Forward
//	frame ─▶ what is it? ─▶ who sent it? ──▶ for the switch itself? ──▶ where does it go?
//	         BPDU, DHCP,    spoof guard      ARP, ND, echo              MAC table · FIB · flood list
//	         RA, non-IP     learning         answered here              hop
//
// Between Local and Forward node puts the services and rules of other features.
// A flow entry keeps the answer; it names its next hop by index and
// generation, so an address that moves or ages out has its flows decided anew.
package route
