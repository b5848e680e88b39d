package ledger

import (
	"time"

	"github.com/stilehq/stile/server/consent"
)

// Choice is the choice that a record is of, as the visitor's cookie carries it.
func (r *Record) Choice() consent.Choice {
	return consent.Choice{
		Receipt: r.ID, Time: r.Time.Truncate(time.Second), Policy: r.Policy, List: r.List, Granted: r.Granted, Denied: r.Denied,
		Services: r.Services, Refused: r.Refused, GPC: r.GPC, Minor: r.Age == "younger",
	}
}
