package control

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"slices"

	"github.com/cespare/xxhash/v2"
)

// digest sums up a model in 16 hexadecimal digits: the hash of its parts' hashes,
// so that it costs what has changed. JSON is canonical here: fields come in the
// order of the structs and maps sorted by key. Ports, of which there are many, have
// an encoding of their own.
func (c *compiler) digest() string {
	b := make([]byte, 0, 8*(len(c.order)+len(c.slots)+8))
	section := func(n int) { b = binary.LittleEndian.AppendUint64(b, uint64(n)) }
	add := func(hash uint64) { b = binary.LittleEndian.AppendUint64(b, hash) }
	add(hashOf(&c.m.Node))
	if c.namespacesHash == 0 {
		c.namespacesHash = hashOf(c.m.Namespaces)
	}
	add(c.namespacesHash)
	section(len(c.slots))
	for _, s := range c.slots {
		if s.resolved.hash == 0 {
			s.resolved.hash = hashOf(&s.resolved.Segment)
		}
		add(s.resolved.hash)
	}
	section(len(c.order))
	for _, p := range c.order {
		if p.made.hash == 0 {
			c.scratch = c.scratch[:0]
			c.scratch.port(p.made.port)
			p.made.hash = xxhash.Sum64(c.scratch)
		}
		add(p.made.hash)
	}
	if c.routersHash == 0 {
		c.routersHash = hashOf(c.m.Routers)
	}
	add(c.routersHash)
	add(hashOf(c.m.Pools))
	add(hashOf(c.m.Blocks))
	add(c.rules.Digest())
	add(c.balancing.resolver.Digest())
	add(c.healthDigest())
	if c.profilesHash == 0 {
		c.profilesHash = c.hashProfiles()
	}
	add(c.profilesHash)
	return fmt.Sprintf("%016x", xxhash.Sum64(b))
}

// hashProfiles is a hash of what profiles say, but for whom they are applied to: that, and their order, the
// resolver's digest has.
func (c *compiler) hashProfiles() uint64 {
	timers, floods := slices.Clone(c.timers), slices.Clone(c.floods)
	for i := range timers {
		timers[i].AppliedTo = 0
	}
	for i := range floods {
		floods[i].AppliedTo = 0
	}
	return hashOf([]any{timers, floods})
}

func hashOf(part any) uint64 {
	data, err := json.Marshal(part)
	if err != nil {
		panic("control: a model is plain data: " + err.Error())
	}
	return xxhash.Sum64(data)
}
