package tally

import (
	"encoding/binary"
	"slices"
	"strings"
)

// sheet is what was counted at a site on a day: sections of rows, each of some labels and some counts. It is not for several
// goroutines at once.
type sheet struct {
	names    []string          // what labels say, each once
	ids      map[string]uint32 // of names; nil until something is looked for
	sections []*section
}

// form is what the rows of a section are made of. It is stored with them, so that a Stile that does not know a section merges
// it all the same.
type form struct {
	name     string
	labels   int
	rules    string // how each count is merged: a letter each
	visitors bool   // the first three labels are country, language and device, and rows of few visitors are merged (Smallest)
}

// How counts of rows with the same labels become one.
const (
	ruleSum    = '+'
	ruleLatest = '>' // the larger
)

// section holds rows one after the other, so that reading a year of them costs few allocations.
type section struct {
	form
	keys   []uint32 // labels, as places in names
	counts []int64
	index  map[string]int // row of its keys; nil until something is looked for
}

func (s *section) rows() int { return len(s.counts) / len(s.rules) }

// row returns labels and counts of a row, which are the section's own.
func (s *section) row(i int) (labels []uint32, counts []int64) {
	return s.keys[i*s.labels : (i+1)*s.labels], s.counts[i*len(s.rules) : (i+1)*len(s.rules)]
}

// place is where a name is.
func (s *sheet) place(name string) (id uint32, known bool) {
	if s.ids == nil {
		s.ids = make(map[string]uint32, len(s.names))
		for i, n := range s.names {
			s.ids[n] = uint32(i)
		}
	}
	id, known = s.ids[name]
	return id, known
}

// id is the place of a name, which is added where it is not there.
func (s *sheet) id(name string) uint32 {
	id, known := s.place(name)
	if !known {
		id = uint32(len(s.names)) //nolint:gosec // bounded by what a sheet may have
		name = strings.Clone(name)
		s.names = append(s.names, name)
		s.ids[name] = id
	}
	return id
}

// section finds a section, or makes it.
func (s *sheet) section(f form) *section {
	for _, sec := range s.sections {
		if sec.name == f.name {
			return sec
		}
	}
	sec := &section{form: f}
	s.sections = append(s.sections, sec)
	return sec
}

// add counts: a row that is there grows, by the rules of the form.
func (s *sheet) add(f form, labels []string, counts ...int64) {
	var room [mostLabels]uint32
	ids := room[:0]
	for _, l := range labels {
		ids = append(ids, s.id(l))
	}
	s.section(f).add(ids, counts)
}

// has tells whether there is such a row.
func (s *sheet) has(f form, labels []string) bool {
	var room [mostLabels]uint32
	ids := room[:0]
	for _, l := range labels {
		id, known := s.place(l)
		if !known {
			return false
		}
		ids = append(ids, id)
	}
	_, found := s.section(f).find(ids)
	return found
}

func (s *section) find(ids []uint32) (row int, found bool) {
	var room [4 * mostLabels]byte
	if s.index == nil {
		s.index = make(map[string]int, s.rows())
		for i := range s.rows() {
			labels, _ := s.row(i)
			s.index[string(keyOf(room[:0], labels))] = i
		}
	}
	row, found = s.index[string(keyOf(room[:0], ids))]
	return row, found
}

func keyOf(b []byte, ids []uint32) []byte {
	for _, id := range ids {
		b = binary.LittleEndian.AppendUint32(b, id)
	}
	return b
}

func (s *section) add(ids []uint32, counts []int64) {
	i, found := s.find(ids)
	if !found {
		s.index[string(keyOf(nil, ids))] = s.rows()
		s.keys = append(s.keys, ids...)
		s.counts = append(s.counts, counts...)
		return
	}
	_, have := s.row(i)
	for j, n := range counts {
		switch s.rules[j] {
		case ruleLatest:
			have[j] = max(have[j], n)
		default:
			have[j] += n
		}
	}
}

// merge adds another sheet. A section that has another form there is an error of the caller's, who compares (same).
func (s *sheet) merge(other *sheet) {
	ids := make([]uint32, len(other.names))
	for i, name := range other.names {
		ids[i] = s.id(name)
	}
	var room [mostLabels]uint32
	for _, from := range other.sections {
		to := s.section(from.form)
		for i := range from.rows() {
			labels, counts := from.row(i)
			key := room[:0]
			for _, l := range labels {
				key = append(key, ids[l])
			}
			to.add(key, counts)
		}
	}
}

// fits tells whether the sections that two sheets share have the same form.
func (s *sheet) fits(other *sheet) bool {
	for _, a := range s.sections {
		for _, b := range other.sections {
			if a.name == b.name && a.form != b.form {
				return false
			}
		}
	}
	return true
}

// copy is the sheet as it is now, which later adding leaves alone.
func (s *sheet) copy() *sheet {
	c := &sheet{names: s.names[:len(s.names):len(s.names)]}
	for _, sec := range s.sections {
		c.sections = append(c.sections, &section{form: sec.form, keys: slices.Clone(sec.keys), counts: slices.Clone(sec.counts)})
	}
	return c
}

// Smallest is how many visits and choices with the same country, language and device there are on a day before they are
// stored as such (C5). Of fewer the language is given up, then the device, then the country: they are Other then. Regime,
// banner, outcome and act stay, so that all totals are exact. An answer for a page that is counted already is no visit, or
// two visitors who choose would be five. A sheet in memory keeps what it knows, so that a group is told from others as soon
// as it is large enough.
//
// These are visits and not people, of whom nothing is known that would tell two visits of one from those of two: whoever alone
// comes from a country and opens five pages there is a group.
const Smallest = 5

// The labels that could tell a visitor from others, in all sections of visitors.
const (
	countryLabel = iota
	languageLabel
	deviceLabel
	visitorLabels
)

// coarse is the sheet as it may be stored.
func (s *sheet) coarse() *sheet {
	c := s.copy()
	other := c.id(Other)
	for _, label := range [...]int{languageLabel, deviceLabel, countryLabel} {
		size := map[[visitorLabels]uint32]int64{}
		c.eachVisitor(func(sec *section, labels []uint32, counts []int64) {
			if sec.name != answerForm.name || !counted(c.names[labels[5]]) {
				size[[visitorLabels]uint32(labels)] += counts[0]
			}
		})
		c.eachVisitor(func(_ *section, labels []uint32, _ []int64) {
			if size[[visitorLabels]uint32(labels)] < Smallest {
				labels[label] = other
			}
		})
	}
	out := &sheet{}
	out.merge(c)
	return out
}

// eachVisitor goes over the rows that say how many visits or choices there were of a kind.
func (s *sheet) eachVisitor(fn func(sec *section, labels []uint32, counts []int64)) {
	for _, sec := range s.sections {
		if !sec.visitors {
			continue
		}
		for i := range sec.rows() {
			labels, counts := sec.row(i)
			fn(sec, labels, counts)
		}
	}
}
