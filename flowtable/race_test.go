//go:build race

package flowtable

// raceEnabled: tests that count packets by the million take fewer.
const raceEnabled = true
