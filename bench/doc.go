// Package bench measures what needs more than one package: the whole switch,
// between ports in memory. Results with the facts of the machine are in
// results.md, made by record.sh.
package bench
