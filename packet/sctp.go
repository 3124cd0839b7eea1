package packet

// SCTPSize is the size in bytes of SCTP's common header.
const SCTPSize = 12
