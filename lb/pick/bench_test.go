package pick

import (
	"fmt"
	"testing"

	"github.com/sluice-net/sluice/internal/cputime"
	"github.com/sluice-net/sluice/lb/service"
)

func BenchmarkPick(b *testing.B) {
	for _, a := range algorithms() {
		for _, n := range []int{10, 100, 1000} {
			b.Run(fmt.Sprintf("%v/%d", a, n), func(b *testing.B) {
				r := newRig(a, n, func(i int, m *service.Member) { m.Weight = uint16(1 + i%5) })
				q := &Query{Now: 1}
				b.ReportAllocs()
				before := cputime.Process()
				for b.Loop() {
					q.Source, q.Tuple = q.Source+golden, q.Tuple+golden
					r.Pick(q)
				}
				b.ReportMetric(float64(cputime.Process()-before)/float64(b.N), "cpu-ns/op")
			})
		}
	}
}

// BenchmarkAllFull is the worst that a pick can cost.
func BenchmarkAllFull(b *testing.B) {
	for _, a := range []service.Algorithm{service.RoundRobin, service.LeastConnection, service.Maglev} {
		b.Run(a.String(), func(b *testing.B) {
			r := newRig(a, 1000, func(_ int, m *service.Member) { m.MaxConnections = 1 })
			for _, m := range r.members {
				m.Take(1)
			}
			q := &Query{Now: 1}
			for b.Loop() {
				r.Pick(q)
			}
		})
	}
}

// BenchmarkRefresh is what a change of health costs, off the workers.
func BenchmarkRefresh(b *testing.B) {
	for _, a := range []service.Algorithm{service.RoundRobin, service.WeightedRoundRobin, service.Maglev} {
		for _, n := range []int{10, 1000} {
			b.Run(fmt.Sprintf("%v/%d", a, n), func(b *testing.B) {
				r := newRig(a, n, func(i int, m *service.Member) { m.Weight = uint16(1 + i%256) })
				for i := 0; b.Loop(); i++ {
					r.change(0, func(m *service.Member) { m.Admin = service.Admin(i % 2) })
				}
			})
		}
	}
}
