package tally

import (
	"cmp"
	"slices"
	"strings"
	"unique"

	"github.com/stilehq/stile/server/consent"
)

// Outcome is what an answer did: which tags it released, restricted or withheld, and why; whether it held the banner. It
// says nothing of who got it.
//
// In a sheet it is text: a letter for each flag, then for each verdict "|", its letter and kind, ":" and the tags' ids, as
// "at|rgranted:ga4 gtm|wdeclined:meta-pixel". The letter is a capital where the verdict is taken back (Choosing).
type Outcome struct{ text unique.Handle[string] }

// Flags of an outcome.
const (
	asked   = 'a' // it held the banner
	told    = 't' // it held a line about the policy
	signal  = 'g' // Sec-GPC switched something off
	robot   = 'c' // a crawler got it
	unknown = 'u' // see Unsure
	again   = 'n' // no further view, see Choosing
	surer   = 'm' // see Surer
)

// Verdicts of an outcome, what lets out more before what lets out less.
const (
	released   = 'r'
	restricted = 's'
	withheld   = 'w'

	takenBack = 'a' - 'A' // less makes a verdict's letter a capital
)

func verdictOf(v *consent.Verdict) byte {
	switch {
	case v.Released:
		return released
	case v.Restricted:
		return restricted
	}
	return withheld
}

// Unsure is the outcome of an answer for another site's page, where a choice may be that did not come along: nobody can tell
// what will run.
func Unsure() Outcome { return Outcome{unique.Make(string(unknown))} }

// Surer is the outcome of an answer for another site's page that has said what it knows: its view was counted as Unsure.
func (o Outcome) Surer() Outcome { return Outcome{unique.Make(string(surer) + o.text.Value())} }

// counted tells whether an outcome's text is of an answer for a page that was counted by another one.
func counted(text string) bool {
	flags, _ := flagsOf(text)
	return strings.ContainsRune(flags, again) || strings.ContainsRune(flags, surer)
}

// OutcomeOf is the outcome of a decision.
func OutcomeOf(s *consent.Site, d *consent.Decision) Outcome {
	var b strings.Builder
	for _, f := range [...]struct {
		flag byte
		set  bool
	}{{asked, d.Ask}, {told, d.Tell}, {signal, signalled(d)}, {robot, d.Crawler}} {
		if f.set {
			b.WriteByte(f.flag)
		}
	}
	var all verdictGroups
	for i := range d.Tags {
		v := &d.Tags[i]
		all.add(verdictOf(v), v.Because.Kind, s.Tags[i].ID)
	}
	return Outcome{unique.Make(b.String() + all.text())}
}

// Choosing is the outcome of a choice for the page on which it was made, whose view was counted before: what it lets out
// there was so in that view after all, and what it goes on withholding has another reason. What it stops was let out all the
// same. fresh is of a page that was counted without its tags (Unsure): there is nothing to take back. Without a difference it
// is not ok.
func Choosing(s *consent.Site, before, after *consent.Decision, fresh bool) (o Outcome, ok bool) {
	var all verdictGroups
	for i := range after.Tags {
		was, is := verdictOf(&before.Tags[i]), verdictOf(&after.Tags[i])
		why, now := before.Tags[i].Because.Kind, after.Tags[i].Because.Kind
		if is > was || is == was && (is == released || why == now || fresh) {
			continue
		}
		all.add(is, now, s.Tags[i].ID)
		if !fresh {
			all.add(was-takenBack, why, s.Tags[i].ID)
		}
	}
	return Outcome{unique.Make(string(again) + all.text())}, len(all) > 0
}

// verdictGroups are tags by verdict and reason.
type verdictGroups []verdictGroup

type verdictGroup struct {
	verdict byte
	kind    consent.Kind
	tags    []string
}

func (all *verdictGroups) add(verdict byte, kind consent.Kind, tag string) {
	at := slices.IndexFunc(*all, func(g verdictGroup) bool { return g.verdict == verdict && g.kind == kind })
	if at < 0 {
		at = len(*all)
		*all = append(*all, verdictGroup{verdict: verdict, kind: kind})
	}
	(*all)[at].tags = append((*all)[at].tags, tag)
}

func (all verdictGroups) text() string {
	var b strings.Builder
	slices.SortFunc(all, func(x, y verdictGroup) int {
		return cmp.Or(cmp.Compare(x.verdict, y.verdict), cmp.Compare(x.kind, y.kind))
	})
	for _, g := range all {
		slices.Sort(g.tags)
		b.WriteByte('|')
		b.WriteByte(g.verdict)
		b.WriteString(g.kind.String())
		b.WriteByte(':')
		b.WriteString(strings.Join(g.tags, " "))
	}
	return b.String()
}

// signalled tells whether Sec-GPC switched a category off.
func signalled(d *consent.Decision) bool {
	return slices.ContainsFunc(d.Categories, func(v consent.Verdict) bool { return v.Because.Kind == consent.Signal })
}

// flags of an outcome's text, and the rest.
func flagsOf(text string) (flags, rest string) {
	flags, rest, _ = strings.Cut(text, "|")
	return flags, rest
}

// eachTag calls fn for each tag of an outcome's text.
func eachTag(text string, fn func(tag string, verdict byte, kind string)) {
	_, rest := flagsOf(text)
	for rest != "" {
		var group string
		group, rest, _ = strings.Cut(rest, "|")
		if group == "" {
			continue
		}
		kind, tags, _ := strings.Cut(group[1:], ":")
		for tag := range strings.SplitSeq(tags, " ") {
			fn(tag, group[0], kind)
		}
	}
}
