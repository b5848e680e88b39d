package tally

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/base64"
	"unique"
)

// announcements are the outcomes that answers of a site named, for pages to tell of: those of today, and those of yesterday
// that nobody told of since. Other processes know them by the sheets.
type announcements struct {
	young, old map[string]Outcome
	asked      int64 // second in which the database was asked last for one that is not known
}

// mostAnnounced is of the young ones, about 1 KB each where there are many tags. What is past it is not told of. Of these
// mostOutcomes are in the sheet: a process that starts anew knows no others.
const mostAnnounced = 4096

var announcedForm = form{name: "announced", labels: 1, rules: ">"} // outcome: 1

// id names an outcome: 8 characters of A-Z a-z 0-9 - _.
func (o Outcome) id() string {
	sum := sha256.Sum256([]byte(o.text.Value()))
	return base64.RawURLEncoding.EncodeToString(sum[:6])
}

// Announce returns the name by which pages may tell of an outcome, "" where there is no room for more of them. What is new
// is stored at once, since the page may tell another process.
func (s *Site) Announce(o Outcome) string {
	id := o.id()
	s.mu.RLock()
	_, known := s.announced.young[id]
	s.mu.RUnlock()
	if known {
		return id
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.announce(id, o) {
		return ""
	}
	select {
	case s.tally.wake <- struct{}{}:
	default:
	}
	return id
}

// announce keeps an outcome as one of today. The site's lock is held.
func (s *Site) announce(id string, o Outcome) bool {
	a := &s.announced
	if _, known := a.young[id]; !known && len(a.young) >= mostAnnounced {
		return false
	}
	if a.young == nil {
		a.young = map[string]Outcome{}
	}
	a.young[id] = o
	p, label := s.page(), []string{o.text.Value()}
	if p.sheet.section(announcedForm).rows() < mostOutcomes && !p.sheet.has(announcedForm, label) {
		p.changed++
		p.sheet.add(announcedForm, label, 1)
	}
	return true
}

// Announced finds an outcome by its name. One that is not known is looked for in the database, at most once a second.
func (s *Site) Announced(ctx context.Context, id string) (o Outcome, known bool, err error) {
	s.mu.RLock()
	o, known = s.announced.young[id]
	s.mu.RUnlock()
	if known || len(id) != 8 {
		return o, known, nil
	}
	if o, known = s.recall(id); known || !s.mayAsk() {
		return o, known, nil
	}
	from := s.tally.now().AddDate(0, 0, -1)
	err = s.tally.db.Each(ctx, func(rows *sql.Rows) error {
		var day Day
		var writer string
		var stored sql.RawBytes
		if err := rows.Scan(&day, &writer, &stored); err != nil {
			return err
		}
		sheet, err := decode(stored)
		if err != nil {
			return of(s.name, day, err)
		}
		s.learn(sheet)
		return nil
	}, readSQL, s.name, string(DayOf(from)), string(DayOf(from.AddDate(0, 0, 2))))
	if err != nil {
		return Outcome{}, false, err
	}
	o, known = s.recall(id)
	return o, known, nil
}

// recall finds an outcome of today or yesterday, and has it be one of today.
func (s *Site) recall(id string) (o Outcome, known bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if o, known = s.announced.young[id]; known {
		return o, true
	}
	if o, known = s.announced.old[id]; known {
		s.announce(id, o)
	}
	return o, known
}

func (s *Site) mayAsk() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.tally.now().Unix()
	if now == s.announced.asked {
		return false
	}
	s.announced.asked = now
	return true
}

// learn takes over what another process announced.
func (s *Site) learn(from *sheet) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, sec := range from.sections {
		if sec.form != announcedForm {
			continue
		}
		for i := range sec.rows() {
			labels, _ := sec.row(i)
			o := Outcome{unique.Make(from.names[labels[0]])}
			if _, known := s.announced.young[o.id()]; known || len(s.announced.old) >= mostAnnounced {
				continue
			}
			if s.announced.old == nil {
				s.announced.old = map[string]Outcome{}
			}
			s.announced.old[o.id()] = o
		}
	}
}

// turn begins a day.
func (a *announcements) turn() { a.young, a.old = nil, a.young }
