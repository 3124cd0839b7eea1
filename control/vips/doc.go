// Package vips gives services their addresses and node ports out of IPPools,
// and keeps them theirs for as long as they ask for them.
//
// An [Allocator] is told each time of all that is asked for, and says who has
// what, and who has to wait and why: nothing is refused for want of addresses,
// for who waits is given one as soon as one is free. The rules, in this order:
//
//  1. What an owner has stays its own while it asks for the same: across
//     restarts ([Allocations]), and when its pool shrinks or goes.
//  2. Of those that ask anew, who asks for a certain address comes before who
//     takes any, and equals come by namespace, name and kind.
//  3. What an owner gives back is nobody else's for the quarantine, if it is of
//     a pool; the owner itself may have it again at once.
//  4. An address has several owners only if all of them share it under one key,
//     with one policy, and no two want the same port of it (as MetalLB does).
//     Who takes any address joins those it may share with.
//
// The lowest free address of the first pool is given first, so that equal
// inputs give equal answers. Nothing here reads a clock.
package vips
