package tally

import (
	"bytes"
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/stilehq/stile/server/consent"
)

// ErrPeriod is of a period that cannot be shown; the error says why, for people.
var ErrPeriod = errors.New("the period cannot be shown")

// longestPeriod is in days: two years and some.
const longestPeriod = 800

// days lists a period's days.
func (p Period) days() ([]Day, error) {
	from, err := time.Parse(time.DateOnly, string(p.From))
	if err != nil {
		return nil, fmt.Errorf("%w: it begins on %.20q, which is no day: write it as 2026-11-22", ErrPeriod, p.From)
	}
	to, err := time.Parse(time.DateOnly, string(p.To))
	if err != nil {
		return nil, fmt.Errorf("%w: it ends on %.20q, which is no day: write it as 2026-11-22", ErrPeriod, p.To)
	}
	n := int(to.Sub(from)/(24*time.Hour)) + 1
	switch {
	case n < 1:
		return nil, fmt.Errorf("%w: it ends on %s, before it begins on %s", ErrPeriod, p.To, p.From)
	case n > longestPeriod:
		return nil, fmt.Errorf("%w: it has %d days, the most is %d", ErrPeriod, n, longestPeriod)
	}
	days := make([]Day, n)
	for i := range days {
		days[i] = DayOf(from.AddDate(0, 0, i))
	}
	return days, nil
}

// freshness is how old the figures of this process may be in a report.
const freshness = time.Second

// Report adds up what was counted at a site in a period, under a filter. Figures of other processes are as old as their last
// flush. While the database is away there is no report. What cannot be read does not keep the rest from being shown.
func (t *Tally) Report(ctx context.Context, site string, p Period, f Filter) (*Report, error) {
	days, err := p.days()
	if err != nil {
		return nil, err
	}
	if err := t.refresh(ctx); err != nil {
		return nil, err
	}
	r := newReading(days, f)
	if r.out.Missing, err = t.sheets(ctx, site, days, r.sheet); err != nil {
		return nil, err
	}
	return r.report(t.Flushed()), nil
}

// refresh stores what was counted, unless that was done a moment ago.
func (t *Tally) refresh(ctx context.Context) error {
	if age := t.now().Sub(t.Flushed()); age >= 0 && age < freshness {
		return nil
	}
	return t.Flush(ctx)
}

const readSQL = `SELECT day, writer, sheet FROM tallies WHERE site = $1 AND day >= $2 AND day <= $3 ORDER BY day, writer`

// sheets calls fn for each sheet of some days, which follow each other. Days for which nobody can have anything to add are
// read once, and kept. Of later ones a sheet is made again only where it has changed. What cannot be read is left out, and its
// days are missing.
func (t *Tally) sheets(ctx context.Context, site string, days []Day, fn func(Day, *sheet) error) (missing []Day, err error) {
	over := t.mergeable()
	from := 0
	for ; from < len(days) && days[from] < over; from++ {
		all, kept := t.days.get(dayKey{siteDay{site, days[from]}, ""})
		if !kept {
			break
		}
		for _, s := range all {
			if err := fn(days[from], s); err != nil {
				return nil, of(site, days[from], err) // it was read before
			}
		}
	}
	if from == len(days) {
		return nil, nil
	}
	read := map[Day][]*sheet{}
	err = t.db.Each(ctx, func(rows *sql.Rows) error {
		var day Day
		var writer string
		var stored sql.RawBytes
		if err := rows.Scan(&day, &writer, &stored); err != nil {
			return err
		}
		decode := decode
		if day >= over {
			decode = func(stored []byte) (*sheet, error) { return t.days.decode(dayKey{siteDay{site, day}, writer}, stored) }
		}
		s, err := decode(stored)
		if err == nil {
			err = fn(day, s)
		}
		if err != nil {
			t.unreadable(of(site, day, err))
			missing = append(missing, day)
			return nil
		}
		read[day] = append(read[day], s)
		return nil
	}, readSQL, site, string(days[from]), string(days[len(days)-1]))
	if err != nil {
		return nil, err
	}
	missing = slices.Compact(missing)
	for _, day := range days[from:] {
		if day < over && !slices.Contains(missing, day) {
			t.days.put(dayKey{siteDay{site, day}, ""}, keptDay{sheets: read[day]})
		}
	}
	return missing, nil
}

// unreadable says once what cannot be read.
func (t *Tally) unreadable(err error) {
	if _, said := t.unread.LoadOrStore(err.Error(), true); !said {
		t.log.Error("figures are left out", "error", err)
	}
}

// days keeps what was read, in two generations.
type days struct {
	mu         sync.Mutex
	young, old map[dayKey]keptDay
	cells      int // in young
}

// dayKey is a day that is over, or what one writer has stored of a later one.
type dayKey struct {
	siteDay
	writer string // "" for a day that is over
}

type siteDay struct {
	site string
	day  Day
}

// keptDay is the sheets of a day, which nobody may change, and what they were made of where that may change.
type keptDay struct {
	sheets []*sheet
	stored []byte
}

// mostCells is in one generation of days, of about 8 bytes each: 16 MB.
const mostCells = 2 << 20

func (d *days) get(key dayKey) ([]*sheet, bool) {
	kept, found := d.find(key)
	return kept.sheets, found
}

// decode makes a sheet of what is stored, unless it was made of the same before.
func (d *days) decode(key dayKey, stored []byte) (*sheet, error) {
	if kept, found := d.find(key); found && bytes.Equal(kept.stored, stored) {
		return kept.sheets[0], nil
	}
	s, err := decode(stored)
	if err == nil {
		d.put(key, keptDay{[]*sheet{s}, bytes.Clone(stored)})
	}
	return s, err
}

func (d *days) find(key dayKey) (keptDay, bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	kept, found := d.young[key]
	if !found {
		if kept, found = d.old[key]; found {
			d.keep(key, kept)
		}
	}
	return kept, found
}

func (d *days) put(key dayKey, kept keptDay) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.keep(key, kept)
}

func (d *days) keep(key dayKey, kept keptDay) {
	cells := 16 + len(kept.stored)/8 // of an empty day
	for _, s := range kept.sheets {
		cells += 4 * len(s.names)
		for _, sec := range s.sections {
			cells += len(sec.keys) + len(sec.counts)
		}
	}
	if d.young == nil || d.cells+cells > mostCells {
		d.old, d.young, d.cells = d.young, map[dayKey]keptDay{}, 0
	}
	d.cells += cells // also of what it replaces, which is little
	d.young[key] = kept
}

// reading is a report on the way.
type reading struct {
	filter   Filter
	out      *Report
	day      map[Day]*Figures
	by       map[Dimension]map[string]*Figures
	outcomes map[string]*outcomeCount
	seen     map[Sighting]*Sighting // by all but pages and days

	categories map[string]*Category
}

// outcomeCount is how many answers had an outcome, so that its tags are gone over once.
type outcomeCount struct {
	flags   string
	n, last int64
}

// readers are the sections that a report knows, and how it reads them. What it does not know it leaves.
var readers = map[string]struct {
	form form
	read func(*reading, *reader)
}{
	answerForm.name: {answerForm, (*reading).answers},
	choiceForm.name: {choiceForm, (*reading).choices},
	spillForm.name:  {spillForm, (*reading).spill},
	sightForm.name:  {sightForm, (*reading).sightings},
	errorForm.name:  {errorForm, (*reading).errors},
}

// reader goes over the rows of a section.
type reader struct {
	day   Day
	names []string
	*section

	// What names stand for, by their places: found once for each, and not for each row.
	by       [len(dimensions)][]*Figures
	outcomes []*outcomeCount
	listed   [][]*Category
}

func newReading(days []Day, f Filter) *reading {
	r := &reading{
		filter: f, day: map[Day]*Figures{}, by: map[Dimension]map[string]*Figures{}, outcomes: map[string]*outcomeCount{},
		categories: map[string]*Category{},
		out:        &Report{Days: make([]DayFigures, len(days)), By: map[Dimension][]Row{}, Categories: map[string]Category{}, Tags: map[string]*Tag{}},
	}
	for i, day := range days {
		r.out.Days[i].Day = day
		r.day[day] = &r.out.Days[i].Figures
	}
	for _, d := range dimensions {
		r.by[d] = map[string]*Figures{}
	}
	return r
}

// dimensions are the labels that visits and choices begin with, in that order.
var dimensions = [...]Dimension{Country, Language, Device, Regime, Banner}

// sheet reads a sheet, or nothing of it.
func (r *reading) sheet(day Day, s *sheet) error {
	for _, sec := range s.sections {
		if known, found := readers[sec.name]; found && sec.form != known.form {
			return errDamaged
		}
	}
	for _, sec := range s.sections {
		if known, found := readers[sec.name]; found && (sec.name != sightForm.name || r.filter.Sightings) {
			known.read(r, newReader(day, s.names, sec))
		}
	}
	return nil
}

// wanted tells whether a row's labels, from a dimension on, pass the filter.
func (r *reading) wanted(names []string, labels []uint32) bool {
	for i, want := range [...]string{r.filter.Country, r.filter.Language, r.filter.Device, r.filter.Regime, r.filter.Banner} {
		if want != "" && names[labels[i]] != want {
			return false
		}
	}
	return true
}

func newReader(day Day, names []string, sec *section) *reader {
	r := &reader{day: day, names: names, section: sec, outcomes: make([]*outcomeCount, len(names)), listed: make([][]*Category, len(names))}
	for i := range r.by {
		r.by[i] = make([]*Figures, len(names))
	}
	return r
}

// count adds to all figures that a row counts for.
func (r *reading) count(from *reader, labels []uint32, more *Figures) {
	r.out.Total.add(more)
	if day := r.day[from.day]; day != nil {
		day.add(more)
	}
	for i, d := range dimensions {
		f := from.by[i][labels[i]]
		if f == nil {
			value := from.names[labels[i]]
			if f = r.by[d][value]; f == nil {
				f = &Figures{}
				r.by[d][value] = f
			}
			from.by[i][labels[i]] = f
		}
		f.add(more)
	}
}

func (f *Figures) add(more *Figures) {
	f.Views += more.Views
	f.Displays += more.Displays
	f.Unsure += more.Unsure
	f.Crawlers += more.Crawlers
	f.Signals += more.Signals
	f.AcceptAll += more.AcceptAll
	f.RejectAll += more.RejectAll
	f.Custom += more.Custom
	f.Changes += more.Changes
	f.Withdrawals += more.Withdrawals
	f.OptOuts += more.OptOuts
	f.OptIns += more.OptIns
}

func (r *reading) answers(from *reader) {
	for i := range from.rows() {
		labels, counts := from.row(i)
		if !r.wanted(from.names, labels) {
			continue
		}
		o := from.outcomes[labels[5]]
		if o == nil {
			o = r.outcome(from.names[labels[5]])
			from.outcomes[labels[5]] = o
		}
		n := counts[0]
		o.n, o.last = o.n+n, max(o.last, counts[1])
		more := answerFigures(o.flags, n)
		r.count(from, labels, &more)
	}
}

func (r *reading) outcome(text string) *outcomeCount {
	o := r.outcomes[text]
	if o == nil {
		flags, _ := flagsOf(text)
		o = &outcomeCount{flags: flags}
		r.outcomes[text] = o
	}
	return o
}

func answerFigures(flags string, n int64) (f Figures) {
	if strings.ContainsRune(flags, again) {
		return f
	}
	f.Views = n
	for _, flag := range flags {
		switch flag {
		case asked:
			f.Displays += n
		case signal:
			f.Signals += n
		case robot:
			f.Crawlers += n
		case unknown:
			f.Unsure += n
		case surer:
			f.Views = 0
		}
	}
	return f
}

func (r *reading) choices(from *reader) {
	for i := range from.rows() {
		labels, counts := from.row(i)
		if !r.wanted(from.names, labels) {
			continue
		}
		n, name := counts[0], func(label int) string { return from.names[labels[label]] }
		action, flags := consent.Action(name(5)), name(6)
		more := choiceFigures(action, flags, n)
		r.count(from, labels, &more)
		if !interaction(strings.ContainsRune(flags, choiceAsked), action) {
			continue
		}
		for _, c := range r.listed(from, labels[7]) {
			c.Granted += n
		}
		for _, c := range r.listed(from, labels[8]) {
			c.Denied += n
		}
	}
}

func choiceFigures(action consent.Action, flags string, n int64) (f Figures) {
	if strings.ContainsRune(flags, choiceOptOut) {
		f.OptOuts = n
	}
	switch {
	case action == consent.Withdraw:
		f.Withdrawals = n
		return f
	case !interaction(strings.ContainsRune(flags, choiceAsked), action):
		f.Changes = n
		return f
	case action == consent.AcceptAll:
		f.AcceptAll = n
	case action == consent.RejectAll:
		f.RejectAll = n
	default:
		f.Custom = n
	}
	if action != consent.RejectAll && strings.ContainsRune(flags, choiceGrants) {
		f.OptIns = n
	}
	return f
}

// listed are the categories that a label lists.
func (r *reading) listed(from *reader, label uint32) []*Category {
	list := from.listed[label]
	if list == nil {
		for name := range strings.FieldsSeq(from.names[label]) {
			list = append(list, r.category(name))
		}
		from.listed[label] = list
	}
	return list
}

func (r *reading) category(name string) *Category {
	c := r.categories[name]
	if c == nil {
		c = &Category{}
		r.categories[name] = c
	}
	return c
}

// spill reads what was counted by itself: its country, language and device are Other.
func (r *reading) spill(from *reader) {
	f := &r.filter
	for _, want := range [...]string{f.Country, f.Language, f.Device} {
		if want != "" && want != Other {
			return
		}
	}
	for i := range from.rows() {
		labels, counts := from.row(i)
		name := func(label int) string { return from.names[labels[label]] }
		if f.Regime != "" && name(0) != f.Regime || f.Banner != "" && name(1) != f.Banner {
			continue
		}
		switch verdict := name(2); verdict {
		case granted:
			r.category(name(4)).Granted += counts[0]
		case denied:
			r.category(name(4)).Denied += counts[0]
		default:
			r.tag(name(4), verdict, name(3), counts[0], counts[1])
		}
	}
}

// tag counts what became of a tag in n views, the last of them in a minute.
func (r *reading) tag(id, verdict, kind string, n, minute int64) {
	t := r.tagOf(id)
	switch verdict {
	case string(released):
		t.Released += n
		if at := time.Unix(60*minute, 0).UTC(); at.After(t.Last) {
			t.Last = at
		}
	case string(restricted):
		count(&t.Restricted, t.RestrictedBecause, kind, n)
	case string(restricted - takenBack):
		count(&t.Restricted, t.RestrictedBecause, kind, -n)
	case string(withheld):
		count(&t.Withheld, t.Because, kind, n)
	case string(withheld - takenBack):
		count(&t.Withheld, t.Because, kind, -n)
	}
}

func count(sum *int64, because map[consent.Kind]int64, kind string, n int64) {
	*sum += n
	if k, known := consent.ParseKind(kind); known {
		because[k] += n
	}
}

// settle leaves nothing below zero: a choice may be of another day than its page, or of one that came from the browser's
// cache and was not counted.
func (t *Tag) settle() {
	t.Restricted, t.Withheld = max(t.Restricted, 0), max(t.Withheld, 0)
	for _, because := range []map[consent.Kind]int64{t.Because, t.RestrictedBecause} {
		maps.DeleteFunc(because, func(_ consent.Kind, n int64) bool { return n <= 0 })
	}
}

func (r *reading) tagOf(id string) *Tag {
	t := r.out.Tags[id]
	if t == nil {
		t = &Tag{Because: map[consent.Kind]int64{}, RestrictedBecause: map[consent.Kind]int64{}}
		r.out.Tags[id] = t
	}
	return t
}

func (r *reading) report(flushed time.Time) *Report {
	for text, o := range r.outcomes {
		eachTag(text, func(tag string, verdict byte, kind string) { r.tag(tag, string(verdict), kind, o.n, o.last) })
	}
	for _, t := range r.out.Tags {
		t.settle()
	}
	for d, values := range r.by {
		for _, value := range slices.Sorted(maps.Keys(values)) {
			r.out.By[d] = append(r.out.By[d], Row{value, *values[value]})
		}
		slices.SortStableFunc(r.out.By[d], func(a, b Row) int { return cmp.Compare(b.Views, a.Views) })
	}
	for name, c := range r.categories {
		r.out.Categories[name] = *c
	}
	r.out.Sightings = r.sighted()
	r.out.Flushed = flushed
	return r.out
}
