// Package conformance holds network policies against what the text of their APIs says
// they mean, by packets through a node. It is tests alone:
//
//	policies ─┬─▶ control ─▶ node ─▶ packets arrive or not ─┐
//	          │                                             ├─▶ the same?
//	          └─▶ internal/netpoltest, object by object ────┘
//
// Rows say in a sentence what each field of the APIs does, with connections that a
// reader of the documents would expect; random policies combine the fields. For
// both, the whole table is compared: all pairs of pods and of addresses outside the cluster,
// TCP, UDP, SCTP and ICMP, of either family.
package conformance
