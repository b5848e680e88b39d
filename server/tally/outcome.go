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
// "at|rgranted:ga4 gtm|wdeclined:meta-pixel".
type Outcome struct{ text unique.Handle[string] }

// Flags of an outcome.
const (
	asked   = 'a' // it held the banner
	told    = 't' // it held a line about the policy
	signal  = 'g' // Sec-GPC switched something off
	robot   = 'c' // a crawler got it
	unknown = 'u' // see Unsure
	again   = 'n' // see Again
	surer   = 'm' // see Surer
)

// Verdicts of an outcome.
const (
	released   = 'r'
	restricted = 's'
	withheld   = 'w'
)

// Unsure is the outcome of an answer for another site's page, where a choice may be that did not come along: nobody can tell
// what will run.
func Unsure() Outcome { return Outcome{unique.Make(string(unknown))} }

// Again is the outcome of an answer for a page that was counted by the one before: no further view, and what was withheld is
// counted already. What it releases runs.
func (o Outcome) Again() Outcome {
	b := []byte{again}
	_, rest := flagsOf(o.text.Value())
	for group := range strings.SplitSeq(rest, "|") {
		if group != "" && group[0] != withheld {
			b = append(append(b, '|'), group...)
		}
	}
	return Outcome{unique.Make(string(b))}
}

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
	type group struct {
		verdict byte
		kind    consent.Kind
		tags    []string
	}
	var groups []group
	for i := range d.Tags {
		v := &d.Tags[i]
		g := group{verdict: withheld, kind: v.Because.Kind}
		switch {
		case v.Released:
			g.verdict = released
		case v.Restricted:
			g.verdict = restricted
		}
		at := slices.IndexFunc(groups, func(o group) bool { return o.verdict == g.verdict && o.kind == g.kind })
		if at < 0 {
			at = len(groups)
			groups = append(groups, g)
		}
		groups[at].tags = append(groups[at].tags, s.Tags[i].ID)
	}
	slices.SortFunc(groups, func(x, y group) int { return cmp.Or(cmp.Compare(x.verdict, y.verdict), cmp.Compare(x.kind, y.kind)) })
	for _, g := range groups {
		slices.Sort(g.tags)
		b.WriteByte('|')
		b.WriteByte(g.verdict)
		b.WriteString(g.kind.String())
		b.WriteByte(':')
		b.WriteString(strings.Join(g.tags, " "))
	}
	return Outcome{unique.Make(b.String())}
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
