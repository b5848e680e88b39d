package tally

import (
	"bytes"
	"cmp"
	"compress/flate"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"sync"
)

// A stored sheet is a byte for the version, a byte that tells whether the rest is compressed, and then, with every number a
// varint:
//
//	names: how many, then length and bytes of each, ascending
//	sections: how many, then of each
//	    its name's place, how many labels, how many counts, the rule of each count, 1 if it is of visitors else 0, how many rows
//	    rows: the places of the labels, ascending; the counts
//
// The same sheet is always the same bytes.
const (
	version    = 1
	plain      = 0
	compressed = 1
)

// What a stored sheet may have at most. It is what a decoder allocates, whatever it is given; stored sees to the bytes.
const (
	mostBytes    = 16 << 20 // uncompressed
	mostSections = 64
	mostLabels   = 16
	mostCounts   = 8
)

var (
	errNewer   = errors.New("it was stored by a newer stile: use that")
	errDamaged = errors.New("it is damaged")
	errLarge   = errors.New("they are too many to be stored together")
)

// stored is the sheet as it is stored. Where it is larger than what is read again, what was seen is dropped: anybody can make
// that up. What was counted never is.
func (s *sheet) stored() (b []byte, dropped bool, err error) {
	raw := s.plain()
	if len(raw) > mostBytes {
		s.sections = slices.DeleteFunc(s.sections, func(sec *section) bool { return sec.name == sightForm.name })
		raw, dropped = s.plain(), true
	}
	if len(raw) > mostBytes {
		return nil, dropped, errLarge
	}
	return pack(raw), dropped, nil
}

// pack compresses a sheet where that is worth it.
func pack(raw []byte) []byte {
	var b bytes.Buffer
	b.Write([]byte{version, compressed})
	w, _ := flate.NewWriter(&b, flate.BestSpeed) // a level that it knows
	_, _ = w.Write(raw)                          // a bytes.Buffer takes everything
	_ = w.Close()
	if b.Len() < len(raw)*3/4 {
		return b.Bytes()
	}
	return append([]byte{version, plain}, raw...)
}

func (s *sheet) plain() []byte {
	names, place := s.sorted()
	b := binary.AppendUvarint(nil, uint64(len(names)))
	for _, name := range names {
		b = binary.AppendUvarint(b, uint64(len(name)))
		b = append(b, name...)
	}
	sections := slices.SortedFunc(slices.Values(s.sections), func(x, y *section) int { return cmp.Compare(x.name, y.name) })
	b = binary.AppendUvarint(b, uint64(len(sections)))
	for _, sec := range sections {
		at, _ := slices.BinarySearch(names, sec.name)
		b = binary.AppendUvarint(b, uint64(at))               //nolint:gosec // a place
		b = append(b, byte(sec.labels), byte(len(sec.rules))) //nolint:gosec // mostLabels and mostCounts
		b = append(b, sec.rules...)
		if sec.visitors {
			b = append(b, 1)
		} else {
			b = append(b, 0)
		}
		b = binary.AppendUvarint(b, uint64(sec.rows())) //nolint:gosec // a number of rows
		for _, i := range sec.order(place) {
			labels, counts := sec.row(i)
			for _, l := range labels {
				b = binary.AppendUvarint(b, uint64(place[l]))
			}
			for _, n := range counts {
				b = binary.AppendUvarint(b, uint64(n)) //nolint:gosec // counts are 0 or more
			}
		}
	}
	return b
}

// sorted are the names that are used, ascending, and for each of the sheet's names its place among them.
func (s *sheet) sorted() (names []string, place []uint32) {
	used := make([]bool, len(s.names))
	for _, sec := range s.sections {
		names = append(names, sec.name)
		for _, l := range sec.keys {
			used[l] = true
		}
	}
	for i, name := range s.names {
		if used[i] {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	names = slices.Compact(names)
	place = make([]uint32, len(s.names))
	for i, name := range s.names {
		if used[i] {
			at, _ := slices.BinarySearch(names, name)
			place[i] = uint32(at) //nolint:gosec // a place
		}
	}
	return names, place
}

// order are the section's rows, ascending by the places of their labels.
func (s *section) order(place []uint32) []int {
	rows := make([]int, s.rows())
	for i := range rows {
		rows[i] = i
	}
	slices.SortFunc(rows, func(x, y int) int {
		a, _ := s.row(x)
		b, _ := s.row(y)
		return slices.CompareFunc(a, b, func(l, m uint32) int { return cmp.Compare(place[l], place[m]) })
	})
	return rows
}

// decode reads a stored sheet, strictly.
func decode(b []byte) (*sheet, error) {
	switch {
	case len(b) < 2:
		return nil, errDamaged
	case b[0] > version:
		return nil, errNewer
	case b[0] != version || b[1] > compressed:
		return nil, errDamaged
	}
	var s *sheet
	read := func(raw []byte) {
		d := decoder{raw: raw}
		if s = d.sheet(); d.bad || d.left() > 0 {
			s = nil
		}
	}
	if b[1] == plain {
		read(b[2:])
	} else if err := inflate(b[2:], read); err != nil {
		return nil, err
	}
	if s == nil {
		return nil, errDamaged
	}
	return s, nil
}

// inflaters are used again: one is 40 KB.
var inflaters = sync.Pool{New: func() any { return &inflater{r: flate.NewReader(nil)} }}

type inflater struct {
	r   io.ReadCloser
	out bytes.Buffer
}

// inflate calls fn with what was compressed, which is fn's until it returns.
func inflate(b []byte, fn func(raw []byte)) error {
	in := inflaters.Get().(*inflater)
	defer inflaters.Put(in)
	from := bytes.NewReader(b)
	_ = in.r.(flate.Resetter).Reset(from, nil) // there is no dictionary that could be wrong
	in.out.Reset()
	n, err := in.out.ReadFrom(io.LimitReader(in.r, mostBytes+1))
	if err != nil || n > mostBytes || from.Len() > 0 {
		return errDamaged
	}
	fn(in.out.Bytes())
	return nil
}

// decoder reads as long as all is well.
type decoder struct {
	raw []byte
	at  int
	bad bool
}

func (d *decoder) fail() { d.bad, d.at = true, len(d.raw) }

func (d *decoder) left() int { return len(d.raw) - d.at }

func (d *decoder) number(most uint64) uint64 {
	if d.at < len(d.raw) && d.raw[d.at] < 0x80 { // most are small
		if n := uint64(d.raw[d.at]); n <= most {
			d.at++
			return n
		}
	}
	return d.long(most)
}

func (d *decoder) long(most uint64) uint64 {
	n, size := binary.Uvarint(d.raw[d.at:])
	if size <= 0 || n > most || size > 1 && d.raw[d.at+size-1] == 0 { // the same number is always written the same
		d.fail()
		return 0
	}
	d.at += size
	return n
}

func (d *decoder) text(n int) string {
	if n > d.left() {
		d.fail()
		return ""
	}
	d.at += n
	return string(d.raw[d.at-n : d.at])
}

func (d *decoder) sheet() *sheet {
	s := &sheet{}
	n := int(d.number(uint64(d.left()))) //nolint:gosec // at most what there is
	s.names = make([]string, 0, n)
	for i := range n {
		name := d.text(int(d.number(mostBytes))) //nolint:gosec // bounded
		if d.bad || i > 0 && name <= s.names[i-1] {
			d.fail()
			return s
		}
		s.names = append(s.names, name)
	}
	for n := d.number(mostSections); n > 0 && !d.bad; n-- {
		sec := d.section(s.names)
		if last := len(s.sections) - 1; !d.bad && last >= 0 && s.sections[last].name >= sec.name {
			d.fail()
		}
		s.sections = append(s.sections, sec)
	}
	return s
}

func (d *decoder) section(names []string) *section {
	s := &section{}
	if len(names) == 0 {
		d.fail()
		return s
	}
	last := uint64(len(names) - 1) //nolint:gosec // there is one
	s.name = names[d.number(last)]
	s.labels = int(d.number(mostLabels))        //nolint:gosec // bounded
	s.rules = d.text(int(d.number(mostCounts))) //nolint:gosec // bounded
	s.visitors = d.number(1) == 1
	rows := int(d.number(uint64(d.left() + 1))) //nolint:gosec // at most what there is
	width := s.labels + len(s.rules)
	if d.bad || s.labels == 0 || len(s.rules) == 0 || rows > d.left()/width || s.visitors && s.labels < visitorLabels ||
		bytes.ContainsFunc([]byte(s.rules), func(r rune) bool { return r != ruleSum && r != ruleLatest }) {
		d.fail()
		return s
	}
	s.keys, s.counts = make([]uint32, rows*s.labels), make([]int64, rows*len(s.rules))
	for i := range rows {
		labels, counts := s.row(i)
		for j := range labels {
			labels[j] = uint32(d.number(last)) //nolint:gosec // a place
		}
		for j := range counts {
			counts[j] = int64(d.number(math.MaxInt64 >> 16)) //nolint:gosec // bounded, so that many of them can be added up
		}
		if i > 0 {
			if before, _ := s.row(i - 1); slices.Compare(before, labels) >= 0 {
				d.fail()
			}
		}
		if d.bad {
			return s
		}
	}
	return s
}

// of says which sheet an error is about.
func of(site string, day Day, err error) error {
	return fmt.Errorf("the figures of %s on %s cannot be read: %w", site, day, err)
}
