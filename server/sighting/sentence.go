package sighting

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/stilehq/stile/server/consent"
	"github.com/stilehq/stile/server/tally"
	"github.com/stilehq/stile/server/vendors"
)

// Sentence is what is to be said of a tag, a vendor or a host, with all hosts that it was seen at.
type Sentence struct {
	Text    string
	Verdict Verdict // Slipped, Ungated or Unknown
	Pages   int64   // page views that it speaks of, at least
	Lines   string  // for stile.yaml; "" where it has the tag already, or none can be made
	Remove  []string
	Hosts   []string
	Finding *Finding // one of those that it is of
	rank    int
}

// subject is whom a sentence is of.
type subject struct {
	name     string
	findings []*Finding
}

// Sentences are what is to be said of findings, the worst first. Those that are as expected need none.
func Sentences(site *consent.Site, findings []Finding) (list []Sentence) {
	var order []string
	subjects := map[string]*subject{}
	for i := range findings {
		f := &findings[i]
		if f.Verdict < Unknown {
			continue
		}
		id, name := f.subject()
		if subjects[id] == nil {
			subjects[id] = &subject{name: name}
			order = append(order, id)
		}
		subjects[id].findings = append(subjects[id].findings, f)
	}
	for _, id := range order {
		list = append(list, subjects[id].sentence(site))
	}
	slices.SortStableFunc(list, func(a, b Sentence) int {
		return cmp.Or(cmp.Compare(a.rank, b.rank), cmp.Compare(b.Pages, a.Pages))
	})
	return list
}

// subject is whom a finding belongs to: an id, and the name for people.
func (f *Finding) subject() (id, name string) {
	switch {
	case f.Tag != nil:
		return "tag " + f.Tag.ID, f.Tag.Name
	case len(f.Vendors) > 0:
		return "vendor " + f.Vendors[0].ID, Whose(f.Vendors)
	}
	return "host " + f.Host, f.Host
}

// Whose is the vendors of a host, for people: "Google Analytics 4 or Google Tag Manager".
func Whose(list []*vendors.Vendor) string {
	var all []string
	for _, v := range list {
		all = append(all, v.Name)
	}
	if len(all) > 3 {
		all = append(all[:2], "another")
	}
	return and(all, "or")
}

// How bad it is that something was seen although it was withheld, by the reason; the worst first.
const (
	rankDeclined = iota
	rankSignal
	rankEarly
	rankOther
	rankUngated
	rankUnknown
)

func rank(why consent.Kind) int {
	switch why {
	case consent.Declined:
		return rankDeclined
	case consent.Signal:
		return rankSignal
	case consent.NotChosen:
		return rankEarly
	}
	return rankOther
}

func (s *subject) sentence(site *consent.Site) Sentence {
	first := s.findings[0]
	out := Sentence{Verdict: first.Verdict, Finding: first}
	for _, f := range s.findings {
		out.Remove = append(out.Remove, f.Element())
		out.Hosts = append(out.Hosts, f.Host)
	}
	slices.Sort(out.Remove)
	out.Remove = slices.Compact(out.Remove)
	if first.Tag == nil {
		out.Lines = Lines(site, first)
	}
	who, worst := s.worst()
	if who != "" {
		out.rank = worst
		out.Pages = s.pages(func(seen *Seen) bool {
			return seen.Held && rank(seen.Because.Kind) == worst && said(seen.Because) == who
		})
		out.Text = fmt.Sprintf("%s was seen on %s %s: it stands in the theme.", s.name, pages(out.Pages), who)
		return out
	}
	out.Pages = s.pages(func(seen *Seen) bool { return seen.Verdict >= Unknown })
	reported := !slices.ContainsFunc(s.findings, func(f *Finding) bool { return f.Source == tally.Observer })
	switch {
	case reported:
		out.Text = fmt.Sprintf("The security policy reported %s on %s: stile.yaml does not name it.", s.name, pages(out.Pages))
	case first.Verdict == Ungated:
		out.Text = fmt.Sprintf("%s was seen on %s, and Stile does not gate it: stile.yaml does not name it.", s.name, pages(out.Pages))
	default:
		out.Text = fmt.Sprintf("%s was seen on %s: nobody has said what it is.", s.name, pages(out.Pages))
		refused := s.pages(func(seen *Seen) bool { return seen.Known && seen.State.refused(site) })
		if refused > 0 {
			out.Text = fmt.Sprintf("%s was seen on %s, %d of them of visitors who declined everything: nobody has said what it is.", s.name, pages(out.Pages), refused)
		}
	}
	out.rank = rankUnknown
	if first.Verdict == Ungated {
		out.rank = rankUngated
	}
	return out
}

// worst is the worst reason for which it was withheld where it was seen, in words; of several as bad the one of most pages.
func (s *subject) worst() (who string, worst int) {
	worst = rankUngated
	count := map[string]int64{}
	for _, f := range s.findings {
		for i := range f.States {
			seen := &f.States[i]
			if !seen.Held || rank(seen.Because.Kind) > worst {
				continue
			}
			if r := rank(seen.Because.Kind); r < worst {
				worst = r
				clear(count)
			}
			count[said(seen.Because)] += seen.Pages
		}
	}
	for text, n := range count {
		if who == "" || n > count[who] || n == count[who] && text < who {
			who = text
		}
	}
	return who, worst
}

// said is of whose pages they are, by why something was withheld on them.
func said(why consent.Because) string {
	switch why.Kind {
	case consent.Declined:
		return "of visitors who declined " + why.Subject
	case consent.Signal:
		return "of visitors whose Global Privacy Control switches " + why.Subject + " off"
	case consent.NotChosen:
		return "before a choice"
	}
	return "on which it was withheld"
}

// pages is how many page views there are of some states, at least: hosts that were seen on the same page are counted once.
func (s *subject) pages(of func(*Seen) bool) (sum int64) {
	most := map[string]int64{}
	for _, f := range s.findings {
		in := map[string]int64{}
		for i := range f.States {
			if of(&f.States[i]) {
				in[f.States[i].Words] += f.States[i].Pages
			}
		}
		for words, n := range in {
			most[words] = max(most[words], n)
		}
	}
	for _, n := range most {
		sum += n
	}
	return sum
}

func pages(n int64) string {
	if n == 1 {
		return "1 page"
	}
	return fmt.Sprintf("%d pages", n)
}

// Element is what to look for in the page, so that it can be deleted or wait there.
func (f *Finding) Element() string {
	switch f.As {
	case "script":
		return fmt.Sprintf(`<script src="https://%s/…">, or a script that names %s`, f.Host, f.Host)
	case "iframe":
		return fmt.Sprintf(`<iframe src="https://%s/…">`, f.Host)
	case "img":
		return fmt.Sprintf(`<img src="https://%s/…">, or a script that names %s`, f.Host, f.Host)
	case "fetch":
		return "a script that calls " + f.Host
	}
	return fmt.Sprintf(`a link, style sheet or script that names %s`, f.Host)
}

// Lines are what to put under tags in the site's file so that what was found is gated: the tag of each vendor whose it may be,
// or one of the site's own that waits in the page. "" where a file has no way to say it.
func Lines(site *consent.Site, f *Finding) string {
	if len(f.Vendors) == 0 {
		return customLine(site, f.Host)
	}
	var lines []string
	for _, v := range f.Vendors {
		if category := categoryFor(site, v.Category); category != "" {
			lines = append(lines, v.Line(category))
		}
	}
	return strings.Join(lines, "\n")
}

func customLine(site *consent.Site, host string) string {
	category := categoryFor(site, "marketing") // which promises least
	if category == "" || !fileHost(host) {
		return ""
	}
	name := host
	if len(name) > longestTagName {
		name = name[len(name)-longestTagName:]
	}
	return fmt.Sprintf("- {name: %q, category: %s, markup: true, hosts: [%q]}", strings.Trim(name, ".-"), category, host)
}

// longestTagName is of a tag's name in a site's file.
const longestTagName = 64

// categoryFor is a category of the site's, or else its last optional one; "" where it has none.
func categoryFor(site *consent.Site, name string) (found string) {
	for i := range site.Categories {
		switch c := &site.Categories[i]; {
		case c.Name == name:
			return name
		case !c.Required:
			found = c.Name
		}
	}
	return found
}

// CategoryFor is the category of the site's that Lines puts a finding under; "" where it has none that is optional.
func CategoryFor(site *consent.Site, f *Finding) string {
	if len(f.Vendors) > 0 {
		return categoryFor(site, f.Vendors[0].Category)
	}
	return categoryFor(site, "marketing")
}
