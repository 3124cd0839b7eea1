package frametext

// number is an attribute that is a number: its name, where it makes sense, its
// range, and its field. It is written where it differs from the default.
type number struct {
	name  string
	of    feature // all of them must be there
	max   uint32
	hex   bool // written as 0x...
	field func(s *spec) *uint32
}

var numbers = []number{
	{"ttl", hasIP, 255, false, func(s *spec) *uint32 { return &s.ttl }},
	{"tos", hasIP, 255, true, func(s *spec) *uint32 { return &s.tos }},
	{"flow", hasV6, 0xfffff, true, func(s *spec) *uint32 { return &s.flow }},
	{"id", hasPlainID, 0xffffffff, false, func(s *spec) *uint32 { return &s.id }},
	{"ipid", hasIP, 0xffffffff, false, func(s *spec) *uint32 { return &s.id }},
	{"off", hasIP, 65528, false, func(s *spec) *uint32 { return &s.off }},
	{"options", hasIP, 2048, false, func(s *spec) *uint32 { return &s.options }},
	{"hbh", hasV6, 2048, false, func(s *spec) *uint32 { return &s.hbh }},
	{"seq", hasTCP, 0xffffffff, false, func(s *spec) *uint32 { return &s.seq }},
	{"ack", hasTCP, 0xffffffff, false, func(s *spec) *uint32 { return &s.ack }},
	{"win", hasTCP, 65535, false, func(s *spec) *uint32 { return &s.win }},
	{"urg", hasTCP, 65535, false, func(s *spec) *uint32 { return &s.urg }},
	{"mtu", hasMTU | hasV4, 65535, false, func(s *spec) *uint32 { return &s.rest }},
	{"mtu", hasMTU | hasV6, 0xffffffff, false, func(s *spec) *uint32 { return &s.rest }},
	{"id", hasEcho, 65535, false, func(s *spec) *uint32 { return &s.echoID }},
	{"seq", hasEcho, 65535, false, func(s *spec) *uint32 { return &s.echoSeq }},
	{"rest", hasRest, 0xffffffff, true, func(s *spec) *uint32 { return &s.rest }},
	{"tag", hasSCTP, 0xffffffff, false, func(s *spec) *uint32 { return &s.tag }},
	{"flags", hasSCTP, 255, false, func(s *spec) *uint32 { return &s.chunkFlags }},
	{"itag", hasInitTag, 0xffffffff, false, func(s *spec) *uint32 { return &s.chunkWord }},
	{"tsn", hasTSN, 0xffffffff, false, func(s *spec) *uint32 { return &s.chunkWord }},
	{"pad", hasLink, 65535, false, func(s *spec) *uint32 { return &s.pad }},
	{"cut", 0, 65535, false, func(s *spec) *uint32 { return &s.cut }},
}

// flag is an attribute that is there or not.
type flag struct {
	name string
	of   feature
	get  func(s *spec) bool
	set  func(s *spec)
}

// flagOf is a flag that is a field.
func flagOf(name string, of feature, field func(s *spec) *bool) flag {
	return flag{
		name, of,
		func(s *spec) bool { return *field(s) },
		func(s *spec) { *field(s) = true },
	}
}

// sumFlag is a flag that says what the checksum field holds.
func sumFlag(name string, of feature, mode sumMode) flag {
	return flag{
		name, of,
		func(s *spec) bool { return s.sum == mode },
		func(s *spec) { s.sum = mode },
	}
}

// advertFlag is a bit in the second word of a neighbour advertisement
// (RFC 4861 section 4.4).
func advertFlag(name string, bit uint32) flag {
	return flag{
		name, hasAdvert,
		func(s *spec) bool { return s.rest&bit != 0 },
		func(s *spec) { s.rest |= bit },
	}
}

var flags = []flag{
	flagOf("df", hasV4, func(s *spec) *bool { return &s.df }),
	flagOf("mf", hasIP, func(s *spec) *bool { return &s.mf }),
	flagOf("frag", hasV6, func(s *spec) *bool { return &s.frag }),
	{"badipcsum", hasV4, func(s *spec) bool { return s.ipSum == sumWrong }, func(s *spec) { s.ipSum = sumWrong }},
	flagOf("sackok", hasTCP, func(s *spec) *bool { return &s.tcp.sackOK }),
	sumFlag("badcsum", hasSum, sumWrong),
	sumFlag("nocsum", hasUDP, sumNone),
	sumFlag("partial", hasPseudo, sumPartial),
	advertFlag("router", 1<<31),
	advertFlag("solicited", 1<<30),
	advertFlag("override", 1<<29),
}
