package logging_test

import (
	"io"
	"testing"

	"github.com/sluice-net/sluice/internal/logging"
)

func BenchmarkLog(b *testing.B) {
	rows := []struct {
		name  string
		level string
		burst int
	}{
		{"written", "info", 1 << 40},
		{"suppressed", "info", 1},
		{"off", "error", 1},
	}
	for _, row := range rows {
		b.Run(row.name, func(b *testing.B) {
			l, err := logging.New(logging.Options{Writer: io.Discard, Burst: row.burst, PerSecond: 1e-9})
			if err != nil {
				b.Fatal(err)
			}
			defer l.Close()
			if err := l.SetLevels(map[string]string{"port": row.level}); err != nil {
				b.Fatal(err)
			}
			log := l.Logger("port")
			b.ReportAllocs()
			for b.Loop() {
				log.Info("the link of a port has changed", "port", "web/a", "up", true)
			}
		})
	}
}
