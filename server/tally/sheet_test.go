package tally

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"
	"unique"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// cells are a sheet's rows by their labels.
func cells(s *sheet) map[string][]int64 {
	m := map[string][]int64{}
	for _, sec := range s.sections {
		for i := range sec.rows() {
			labels, counts := sec.row(i)
			key := []string{sec.name}
			for _, l := range labels {
				key = append(key, s.names[l])
			}
			m[strings.Join(key, "|")] = slices.Clone(counts)
		}
	}
	return m
}

func encode(s *sheet) []byte { return pack(s.plain()) }

// drawSheet is a sheet of visits and choices, some of which are few.
func drawSheet(t *rapid.T) *sheet {
	s := &sheet{}
	text := func(name string, of ...string) string { return rapid.SampledFrom(of).Draw(t, name) }
	for range rapid.IntRange(0, 60).Draw(t, "answers") {
		s.add(answerForm, []string{
			text("country", "DE", "FR", "MT", "", Other), text("language", "de", "en", "mt", Other), text("device", "phone", "tablet", "desktop"),
			text("regime", "eu", "us"), text("banner", "1-abc", "2-def"), text("outcome", "a|wnot_chosen:x y", "|rgranted:x|wdeclined:y", "c"),
		}, rapid.Int64Range(1, 6).Draw(t, "n"), rapid.Int64Range(0, 1e9).Draw(t, "minute"))
	}
	for range rapid.IntRange(0, 30).Draw(t, "choices") {
		s.add(choiceForm, []string{
			text("country", "DE", "FR", "MT", ""), text("language", "de", "en"), text("device", "phone", "tablet", "desktop", Other),
			text("regime", "eu", "us"), text("banner", "1-abc", "2-def"), text("action", "accept_all", "reject_all", "withdraw"),
			text("flags", "", "a", "ao"), text("granted", "", "analytics"), text("denied", "", "analytics marketing"),
		}, rapid.Int64Range(1, 6).Draw(t, "n"))
	}
	for range rapid.IntRange(0, 5).Draw(t, "others") {
		f := form{name: "later", labels: 2, rules: ">+>"} // a section that this Stile does not know
		s.add(f, []string{rapid.StringN(0, 9, -1).Draw(t, "a"), rapid.String().Draw(t, "b")}, 3, rapid.Int64Range(0, 1<<40).Draw(t, "n"), 7)
	}
	return s
}

// What is stored is read again, the same sheet is the same bytes, and what is read can be added to.
func TestEncode(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := drawSheet(t)
		stored := encode(s)
		read, err := decode(stored)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(cells(s), cells(read)); diff != "" {
			t.Fatal(diff)
		}
		if !bytes.Equal(encode(read), stored) {
			t.Fatal("it is stored otherwise the second time")
		}
		twice := &sheet{}
		twice.merge(read)
		twice.merge(s)
		for key, counts := range cells(twice) {
			for j, n := range cells(s)[key] {
				if counts[j] != n && counts[j] != 2*n {
					t.Fatalf("%s twice is %v", key, counts)
				}
			}
		}
	})
}

func TestMerge(t *testing.T) {
	a, b := &sheet{}, &sheet{}
	a.add(answerForm, []string{"DE", "de", "phone", "eu", "1", "a"}, 2, 10)
	a.add(answerForm, []string{"FR", "fr", "phone", "eu", "1", "a"}, 3, 11)
	b.add(answerForm, []string{"FR", "fr", "phone", "eu", "1", "a"}, 4, 9)
	b.add(form{name: "more", labels: 1, rules: "+"}, []string{"FR"}, 1)
	a.merge(b)
	want := map[string][]int64{"answers|DE|de|phone|eu|1|a": {2, 10}, "answers|FR|fr|phone|eu|1|a": {7, 11}, "more|FR": {1}}
	if diff := cmp.Diff(want, cells(a)); diff != "" {
		t.Error(diff)
	}
	if a.fits(&sheet{sections: []*section{{form: form{name: "more", labels: 2, rules: "+"}}}}) {
		t.Error("a section of another form fits")
	}
}

func TestDecodeRefuses(t *testing.T) {
	s := &sheet{}
	for i := range 50 {
		s.add(answerForm, []string{"DE", fmt.Sprint("l", i), "phone", "eu", "1-abc", "a|wnot_chosen:x"}, 5, 10)
	}
	raw, good := append([]byte{version, plain}, s.plain()...), encode(s)
	if good[1] != compressed {
		t.Fatal("it is not compressed")
	}
	change := func(b []byte, at int, to byte) []byte {
		b = bytes.Clone(b)
		b[at] = to
		return b
	}
	for name, test := range map[string]struct {
		stored []byte
		want   error
	}{
		"nothing":                 {nil, errDamaged},
		"a newer one":             {change(good, 0, version+1), errNewer},
		"version 0":               {change(good, 0, 0), errDamaged},
		"another coding":          {change(good, 1, 2), errDamaged},
		"cut off":                 {raw[:len(raw)-1], errDamaged},
		"cut off, compressed":     {good[:len(good)-1], errDamaged},
		"more behind":             {append(bytes.Clone(raw), 0), errDamaged},
		"more behind, compressed": {append(bytes.Clone(good), 0), errDamaged},
		"a bit":                   {change(raw, 3, raw[3]^1), errDamaged},
		"many names":              {binary.AppendUvarint([]byte{version, plain}, 1<<62), errDamaged},
	} {
		if _, err := decode(test.stored); !errors.Is(err, test.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := of("shop", "2026-11-22", errNewer); err.Error() != "the figures of shop on 2026-11-22 cannot be read: it was stored by a newer stile: use that" {
		t.Error(err)
	}
}

func FuzzDecode(f *testing.F) {
	s := &sheet{}
	s.add(answerForm, []string{"DE", "de", "phone", "eu", "1-abc", "a|wnot_chosen:x"}, 5, 10)
	s.add(spillForm, []string{"eu", "1-abc", "w", "not_chosen", "x"}, 5, 10)
	f.Add(encode(s))
	f.Add(append([]byte{version, plain}, s.plain()...))
	for i := range 300 {
		s.add(choiceForm, []string{"DE", "de", "phone", "eu", fmt.Sprint(i), "accept_all", "a", "analytics", ""}, 500)
	}
	f.Add(encode(s))
	f.Fuzz(func(t *testing.T, stored []byte) {
		read, err := decode(stored)
		if err != nil {
			if !errors.Is(err, errDamaged) && !errors.Is(err, errNewer) {
				t.Fatal(err)
			}
			return
		}
		if stored[1] == plain && !bytes.Equal(read.plain(), stored[2:]) {
			t.Fatal("another text is read as the same")
		}
		r := newReading([]Day{"2026-11-22"}, Filter{})
		if r.sheet("2026-11-22", read) == nil {
			r.report(time.Time{})
		}
	})
}

// Merging small groups keeps each total, and leaves no group that is small unless it says nothing of anybody.
func TestCoarse(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := drawSheet(t)
		c := s.coarse()
		totals := func(s *sheet) map[string]int64 {
			m := map[string]int64{}
			for _, sec := range s.sections {
				for i := range sec.rows() {
					labels, counts := sec.row(i)
					for j := range labels {
						if !sec.visitors || j >= visitorLabels {
							m[fmt.Sprint(sec.name, j, s.names[labels[j]])] += counts[0]
						}
					}
					if sec.name == answerForm.name {
						eachTag(s.names[labels[5]], func(tag string, verdict byte, kind string) { m["tag "+tag+string(verdict)+kind] += counts[0] })
					}
				}
			}
			return m
		}
		if diff := cmp.Diff(totals(s), totals(c)); diff != "" {
			t.Fatal(diff)
		}
		was, now := groups(s), groups(c)
		for group, n := range now {
			if n < Smallest && group != [3]string{Other, Other, Other} {
				t.Fatalf("%v are %d", group, n)
			}
		}
		for group, n := range was {
			if n >= Smallest && now[group] < n {
				t.Fatalf("%v were %d, and are %d", group, n, now[group])
			}
		}
	})
}

func groups(s *sheet) map[[3]string]int64 {
	m := map[[3]string]int64{}
	s.eachVisitor(func(_ *section, labels []uint32, counts []int64) {
		m[[3]string{s.names[labels[0]], s.names[labels[1]], s.names[labels[2]]}] += counts[0]
	})
	return m
}

// The language is given up first, then the device, then the country, and no more than is needed.
func TestCoarseSteps(t *testing.T) {
	s := &sheet{}
	add := func(country, language, device string, n int64) {
		s.add(answerForm, []string{country, language, device, "eu", "1", "a"}, n, 0)
	}
	add("DE", "de", "phone", 5)
	add("FR", "fr", "phone", 3)
	add("FR", "en", "phone", 2)
	add("MT", "mt", "phone", 2)
	add("MT", "en", "tablet", 3)
	add("IS", "is", "phone", 4)
	for _, text := range []string{"n|rgranted:x", "ma"} { // of pages that are among the four
		s.add(answerForm, []string{"IS", "is", "phone", "eu", "1", text}, 3, 0)
	}
	want := map[[3]string]int64{
		{"DE", "de", "phone"}: 5, {"FR", Other, "phone"}: 5, {"MT", Other, Other}: 5, {Other, Other, Other}: 10,
	}
	if diff := cmp.Diff(want, groups(s.coarse())); diff != "" {
		t.Error(diff)
	}
	if got := groups(s); len(got) != 6 {
		t.Error("the sheet itself was changed")
	}
}

// outcome is one by its text.
func outcome(text string) Outcome { return Outcome{unique.Make(text)} }

// Past its bounds a page gives up who, then which outcome, and no total.
func TestPageBounds(t *testing.T) {
	p := &page{outcomes: map[string]bool{}}
	n := int64(0)
	for i := range 3 * mostRows {
		p.answers(&Visit{Country: fmt.Sprint(i), Regime: "eu", Language: "de", Banner: "1", Outcome: outcome(fmt.Sprintf("a|wdeclined:x%d y", i%600))}, Phone, 2, 9)
		n += 2
	}
	for i := range 3 * mostRows {
		p.choice(&Choice{
			Country: fmt.Sprint(i), Regime: "eu", Banner: "1", Device: "phone", Action: "custom", Asked: true, Grants: true,
			Granted: []string{fmt.Sprint("g", i)}, Denied: []string{"d"},
		})
	}
	if a, c := p.sheet.section(answerForm).rows(), p.sheet.section(choiceForm).rows(); a > 2*mostRows || c > 2*mostRows+10 {
		t.Errorf("%d and %d rows", a, c)
	}
	r := newReading([]Day{"2026-11-22"}, Filter{Regime: "eu"})
	read, err := decode(encode(p.sheet.coarse()))
	if err != nil {
		t.Fatal(err)
	}
	if err := r.sheet("2026-11-22", read); err != nil {
		t.Fatal(err)
	}
	got := r.report(time.Time{})
	if got.Total.Views != n || got.Total.Displays != n || got.Tags["y"].Withheld != n || got.Total.Custom != 3*mostRows || got.Total.OptIns != 3*mostRows {
		t.Errorf("of %d views: %+v, %+v", n, got.Total, got.Tags["y"])
	}
	if d := got.Categories["d"].Denied; d != 3*mostRows || got.Categories["g1"].Granted != 1 || got.Categories[fmt.Sprint("g", 3*mostRows-1)].Granted != 1 {
		t.Errorf("d was declined %d times", d)
	}
	sum := int64(0)
	for id, tag := range got.Tags {
		if id != "y" {
			sum += tag.Withheld
		}
	}
	if sum != n {
		t.Errorf("the tags x were withheld %d times, want %d", sum, n)
	}
}

func TestClassOf(t *testing.T) {
	for agent, want := range map[string]Class{
		"": Desktop, "curl/8.5.0": Desktop,
		"Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36 Edg/142.0.0.0":                          Desktop,
		"Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/26.1 Safari/605.1.15":                                  Desktop,
		"Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0":                                                                                 Desktop,
		"Mozilla/5.0 (X11; CrOS x86_64 14541.0.0) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36":                                         Desktop,
		"Mozilla/5.0 (iPhone; CPU iPhone OS 18_7 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/26.1 Mobile/15E148 Safari/604.1":                Phone,
		"Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Mobile Safari/537.36":                                        Phone,
		"Mozilla/5.0 (Android 15; Mobile; rv:145.0) Gecko/145.0 Firefox/145.0":                                                                                   Phone,
		"Mozilla/5.0 (Linux; Android 14; SM-S921B) AppleWebKit/537.36 (KHTML, like Gecko) SamsungBrowser/28.0 Chrome/130.0.0.0 Mobile Safari/537.36":             Phone,
		"Mozilla/5.0 (Windows Phone 10.0; Android 6.0.1; Microsoft; Lumia 950) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/52.0.2743.116 Mobile Safari/537.36": Phone,
		"Mozilla/5.0 (iPad; CPU OS 16_6 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/16.6 Mobile/15E148 Safari/604.1":                         Tablet,
		"Mozilla/5.0 (Linux; Android 13; SM-X710) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36":                                         Tablet,
		"Mozilla/5.0 (Android 14; Tablet; rv:145.0) Gecko/145.0 Firefox/145.0":                                                                                   Tablet,
		"Mozilla/5.0 (Linux; Android 9; KFMAWI) AppleWebKit/537.36 (KHTML, like Gecko) Silk/120.2.1 like Chrome/120.0.6099.199 Safari/537.36":                    Tablet,
		"Mozilla/5.0 (Linux; Android 12; BRAVIA 4K Android TV) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/110.0.5481.65 Safari/537.36":                        Desktop,
		"Mozilla/5.0 (Windows NT 10.0; WOW64; Trident/7.0; Touch; Tablet PC 2.0; rv:11.0) like Gecko":                                                            Desktop,
	} {
		if got := ClassOf(http.Header{"User-Agent": {agent}}); got != want {
			t.Errorf("%s: %s, want %s", agent, got, want)
		}
	}
	hint := http.Header{"User-Agent": {"Mozilla/5.0 (X11; Linux x86_64)"}, "Sec-Ch-Ua-Mobile": {"?1"}}
	if got := ClassOf(hint); got != Phone {
		t.Errorf("by its hint: %s", got)
	}
}

// A year is read fast: in memory it is a few long lists.
func BenchmarkDecodeYear(b *testing.B) {
	stored := encode(yearSheet().coarse())
	b.ReportAllocs()
	for b.Loop() {
		for range 365 {
			if _, err := decode(stored); err != nil {
				b.Fatal(err)
			}
		}
	}
	b.ReportMetric(float64(len(stored)), "bytes/day")
}

// yearSheet is a day of a site with 20 tags: about 300 cells.
func yearSheet() *sheet {
	s := &sheet{}
	tags := make([]string, 20)
	for i := range tags {
		tags[i] = fmt.Sprint("vendor-tag-", i)
	}
	outcomes := []string{
		"a|wnot_chosen:" + strings.Join(tags, " "), "|rgranted:" + strings.Join(tags, " "),
		"|wdeclined:" + strings.Join(tags, " "), "|rgranted:" + strings.Join(tags[:9], " ") + "|wdeclined:" + strings.Join(tags[9:], " "),
	}
	for c := range 12 {
		for d := range classes {
			for o, text := range outcomes {
				s.add(answerForm, []string{fmt.Sprintf("C%d", c), []string{"de", "en"}[c%2], d.String(), "eu", "2026-11-01-abcdef", text}, int64(100*c+o+9), 29_000_000+int64(c))
			}
			for a, action := range []string{"accept_all", "reject_all", "custom", "withdraw"} {
				s.add(choiceForm, []string{
					fmt.Sprintf("C%d", c), []string{"de", "en"}[c%2], d.String(), "eu", "2026-11-01-abcdef", action, "a", "analytics functional", "marketing",
				}, int64(10*c+a+7))
			}
		}
	}
	return s
}
