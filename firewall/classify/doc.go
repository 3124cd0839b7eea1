// Package classify finds the first rule of a policy that matches a packet, in a
// number of memory accesses that is bounded when the rules are compiled, whatever the
// traffic.
//
// Three steps:
//
//	address ──▶ class      hosts by an exact table, all others by a trie of bytes (hosts.go, trie.go)
//	class ────▶ label      and the trees of the class, as source and as destination: one record
//	trees ────▶ rule       one tree of the port, one of each class, two for all; the first rule of these five
//
// A class is the addresses that are in the same sets. Classes have labels in an order in which a
// set is few spans of them (space.go), so that a rule is a box of spans and is never taken apart into
// the products of its members. A rule lives in the trees of the port, of the source or of the destination, where it names
// few of these; else in one of two trees for all (cells.go). A tree cuts into up to eight parts at a
// time, a cache line each, down to leaves of a few rules (tree.go). Each tree may have so many entries and no more; where that does not
// do, leaves are longer, and Stats.Deepest says how long the longest way is. Rules that overlap in all dimensions
// at random do that: no structure of bounded size is fast for those.
//
// Compiling again redoes what has another pointer, or other contents. A class that comes new is a clone of one that is
// like it, so that only rules about sets in which the two differ are touched; of their trees
// small ones are made anew, and large ones where the rules are (renew.go). Nodes and entries are
// never written once a Table has them. When half of them is garbage they are moved, which is the
// slowest that a change of one rule gets.
//
// Measured on a Xeon with 2 cores, 2 MiB of L2 each, which others kept busy (load 2 to 7), with rule sets of
// internal/classbench; CPU time of one core. A lookup in a vector begins with addresses; a single one with classes,
// and waits for the one before. Hostile is headers put together from the longest ways (adversary_test.go) against random ones.
//
//	rules         in vectors, ns       M/s       single  hostile   longest   memory    build
//	              random   skewed     random     ns      / benign  way       B/rule    s
//	acl  10,000   106-121   97-101    8.3-9.4     55-66  1.00-1.11   15       244      0.06
//	fw   10,000   110-145  104-126    6.9-9.1     77     1.09        17       386      0.06
//	ipc  10,000   132-154  117-141    6.5-7.6     90     1.02-1.03   19       353      0.06
//	acl 100,000   216-217  154-162    4.6        142-150 0.82-0.97   18       220      0.9
//	fw  100,000   250-294  232-248    3.4-4.0    257-272 1.09-1.13   42       241      0.8
//	ipc 100,000   297-414  273-308    2.4-3.4    363-377 0.98-1.07   42       306      0.9
//
// One rule changed of 100,000, in a section of 1,000: 2.7 ms, at worst 11. Of 5,000 pods in 2,100 groups with 10,000 rules between
// them: a pod more in ten groups 1.8 ms, at worst 15; a prefix more in a group 0.9, at worst 10.
//
// Measured and not kept: leaves of 2 or 6 rules in place of 4 (40 % more memory, or a quarter more
// lines); choosing cuts by the sum of the squares of their parts (ways twice to ten times as long: it shuns cuts that
// repeat wide rules, though these shorten the longest list most).
package classify
