package dataplane

import "time"

// clockBase makes the workers' times small and monotonic.
var clockBase = time.Now()

// Now returns the time in ns that running workers pass to Step: monotonic, from
// the start of the process. It is the only clock of the data plane; everything
// else takes the time as an argument.
func Now() int64 { return int64(time.Since(clockBase)) }

// WallClock converts a time of Now to Unix time in ns.
func WallClock(now int64) int64 { return clockBase.UnixNano() + now }
