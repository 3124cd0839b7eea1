//go:build !race

package relaxed

// Release replaces a value that only the calling goroutine writes, after all that it has written before: who reads it
// by an atomic load sees that, too. Unlike an atomic store it does not wait until others see it, so what is
// loaded next may be older.
//
// Processors of this architecture keep stores in order (Intel SDM volume 3 section 10.2.2), and the compiler keeps
// them in order of the program.
func Release[W Word](p *W, v W) { *p = v }
