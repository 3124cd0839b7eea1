// Package packet holds frames and reads them: buffers in one arena with single
// ownership, views of headers, flow keys, checksums and their incremental
// update, segmentation of super-frames, and the reasons for which frames are
// dropped. It needs nothing but the standard library.
//
// Header views are byte slices with methods, after a check of their length
// (AsIPv4, AsTCP, …): once the check says ok, no accessor can panic. Parse reads all headers of a
// frame at once into an Info, and is the judge of what is malformed;
// ParseCommon is its shortcut for most frames.
//
// Nothing here allocates, locks or reads a clock for a packet.
package packet
