// Package oracle compares sessions with the kernel's connection tracking, packet by
// packet. It has tests only: the same sequences go through nftables in a
// network namespace and through the engine, and where the verdicts differ the
// difference is in a table with its reason, as in docs/sessions.md.
package oracle
