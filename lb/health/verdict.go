package health

import (
	"fmt"

	"github.com/sluice-net/sluice/lb/member"
	"github.com/sluice-net/sluice/lb/service"
)

// verdict is what a monitor has come to think of an address.
//
//	Unknown ── good ────────▶ Up ── fall bad in a row ──▶ Down
//	   │                       ▲                           │ ▲
//	   │                       └──── rise good in a row ───┘ │
//	   └───────────────── fall bad in a row ─────────────────┘
type verdict struct {
	health  member.Health
	against int // results in a row that speak against health
}

// take takes a result into account, and says why if the health is another now.
func (v *verdict) take(good bool, m *service.Monitor) (why string, changed bool) {
	to, need, word := member.Down, max(m.Fall, 1), "fall"
	if good {
		to, need, word = member.Up, max(m.Rise, 1), "rise"
		if v.health == member.Unknown {
			need = 1
		}
	}
	if v.health == to || v.health == member.Unknown && good {
		v.against = 0
	}
	if v.health == to {
		return "", false
	}
	if v.against++; v.against < need {
		return "", false
	}
	why = fmt.Sprintf("%s %d of %d", word, v.against, need)
	if good && v.health == member.Unknown {
		why = "the first good probe"
	}
	*v = verdict{health: to}
	return why, true
}
