package sighting

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/stilehq/stile/banner"
	"github.com/stilehq/stile/server/config"
	"github.com/stilehq/stile/server/consent"
	"github.com/stilehq/stile/server/tally"
	"github.com/stilehq/stile/server/vendors"
)

var now = time.Date(2026, 11, 22, 9, 30, 0, 0, time.UTC)

const head = `site: shop
origins: ["https://www.shop.example", "https://*.shop.example"]
controller: {name: EasyDser, contact: privacy@shop.example}
policy: {version: 2026-11-01}
regimes:
  - {name: uk, regions: [GB], model: opt-in, notice_only: [analytics]}
  - {name: pipl, regions: [CN], model: opt-in, separate: true}
  - {name: us, regions: [US-CA], model: opt-out}
  - {name: gdpr, regions: ["*"], model: opt-in}
categories: {necessary: {required: true}, analytics: {}, marketing: {}}
sightings: {share: 0.05, own: ["cdn.example", "*.fonts.example"]}
tags:
  - {vendor: hotjar, id: "1234567", category: analytics}
  - {vendor: meta-pixel, id: "123456789012345", category: marketing}
  - {name: Widget, category: analytics, script: "https://w.example/w.js"}
`

var known = sync.OnceValues(vendors.New)

func library(t testing.TB) *vendors.Library {
	t.Helper()
	l, err := known()
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func parse(t testing.TB, text string) *consent.Site {
	t.Helper()
	site, report := config.Parse("stile.yaml", []byte(text), config.Options{Vendors: library(t), Languages: banner.Languages(), Now: now})
	if err := report.Err(); err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	return site
}

const good = `{"regime":"gdpr","chosen":true,"gpc":false,"allowed":["analytics"],"with":[],"without":["widget"],"hosts":[{"host":"static.hotjar.com","as":"script"},{"host":"xn--bcher-kva.example:8443","as":"img","failed":true}],"failed":["hotjar"]}`

func TestParseWatched(t *testing.T) {
	site := parse(t, head)
	r, err := Parse("text/plain", []byte(good), site)
	if err != nil {
		t.Fatal(err)
	}
	if got := fmt.Sprintf("%+v %q", r, r.State); got != `{Source:observer State:!marketing -widget analytics Hosts:[{Host:static.hotjar.com As:script Failed:false Tags: Known:false} {Host:xn--bcher-kva.example:8443 As:img Failed:true Tags: Known:false}] Failed:[hotjar] Origins:[]} "!marketing -widget analytics"` {
		t.Error(got)
	}
	// A tag that went since the page was loaded does not lose the report.
	if later, err := Parse("text/plain", []byte(strings.NewReplacer(`["widget"]`, `["gadget","widget"]`, `["hotjar"]`, `["hotjar","gadget"]`).Replace(good)), site); err != nil || fmt.Sprint(later) != fmt.Sprint(r) {
		t.Errorf("with a tag that went: %+v, %v", later, err)
	}
	many := make([]string, mostHosts+1)
	for i := range many {
		many[i] = fmt.Sprintf(`{"host":"h%d.example","as":"img"}`, i)
	}
	for name, bad := range map[string]string{
		"nothing":            ``,
		"no object":          `[]`,
		"two of them":        good + good,
		"an id beside":       strings.Replace(good, `{"regime"`, `{"visitor":"7","regime"`, 1),
		"a path":             strings.Replace(good, `static.hotjar.com`, `static.hotjar.com/c/hotjar.js`, 1),
		"an address":         strings.Replace(good, `static.hotjar.com`, `https://static.hotjar.com`, 1),
		"a query":            strings.Replace(good, `static.hotjar.com`, `static.hotjar.com?id=7`, 1),
		"a user":             strings.Replace(good, `static.hotjar.com`, `ada@hotjar.com`, 1),
		"an empty host":      strings.Replace(good, `static.hotjar.com`, ``, 1),
		"a host twice":       strings.Replace(good, `xn--bcher-kva.example:8443`, `static.hotjar.com`, 1),
		"another class":      strings.Replace(good, `"as":"script"`, `"as":"worm"`, 1),
		"another regime":     strings.Replace(good, `"gdpr"`, `"lgpd"`, 1),
		"another category":   strings.Replace(good, `["analytics"]`, `["games"]`, 1),
		"a required one":     strings.Replace(good, `["analytics"]`, `["necessary"]`, 1),
		"a category twice":   strings.Replace(good, `["analytics"]`, `["analytics","analytics"]`, 1),
		"another tag":        strings.Replace(good, `"with":[]`, `"with":["gadget"]`, 1),
		"a tag in both":      strings.Replace(good, `"with":[]`, `"with":["widget"]`, 1),
		"a failed tag twice": strings.Replace(good, `["hotjar"]`, `["hotjar","gadget","hotjar"]`, 1),
		"too many hosts":     `{"regime":"gdpr","hosts":[` + strings.Join(many, ",") + `]}`,
	} {
		if r, err := Parse("text/plain", []byte(bad), site); err == nil || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: %+v, %v", name, r, err)
		}
	}
	if _, err := Parse("image/gif", []byte(good), site); !errors.Is(err, ErrType) {
		t.Errorf("a picture: %v", err)
	}
}

func TestParseViolations(t *testing.T) {
	old := func(document, blocked, directive string) string {
		text, _ := json.Marshal(map[string]any{"csp-report": map[string]string{"document-uri": document, "blocked-uri": blocked, "violated-directive": directive, "original-policy": "x"}})
		return string(text)
	}
	const page = "https://www.shop.example/basket?order=77&mail=ada@example.com"
	for _, c := range []struct{ name, kind, body, want string }{
		{"the old form", "application/csp-report", old(page, "https://T.hotjar.com/c/h.js?sv=6", "script-src-elem 'self'"), "[{t.hotjar.com script false  false}]"},
		{"a usual port", "application/csp-report", old(page, "wss://ws.hotjar.com:443/x", "connect-src"), "[{ws.hotjar.com fetch false  false}]"},
		{"inline", "application/csp-report", old(page, "inline", "style-src"), "[{inline other false  false}]"},
		{"data", "application/csp-report", old(page, "data:image/png;base64,AAAA", "img-src"), "[{data img false  false}]"},
		{"bare data", "application/csp-report", old(page, "data", "img-src"), "[{data img false  false}]"},
		{"self", "application/csp-report", old(page, "self", "img-src"), "[]"},
		{"the page itself", "application/csp-report", old(page, "https://www.shop.example/a.js", "script-src"), "[]"},
		{"an extension", "application/csp-report", old(page, "chrome-extension://abc/x.js", "script-src"), "[]"},
		{"the new form, each host once", "application/reports+json", `[{"type":"csp-violation","age":3,"url":"` + page + `","user_agent":"x","body":{"documentURL":"` + page + `","blockedURL":"https://a.example/x?id=1","effectiveDirective":"img-src"}},
			{"type":"csp-violation","body":{"documentURL":"` + page + `","blockedURL":"https://a.example/y","effectiveDirective":"script-src"}},
			{"type":"deprecation","body":{"id":"x"}}, {"type":"csp-violation","body":{"documentURL":"` + page + `","blockedURL":"eval","effectiveDirective":"script-src"}}]`, "[{a.example img false  false} {eval script false  false}]"},
	} {
		r, err := Parse(c.kind, []byte(c.body), nil)
		if err != nil || fmt.Sprint(r.Hosts) != c.want || r.Source != tally.CSP || r.State.String() != "" {
			t.Errorf("%s: %+v, %v", c.name, r, err)
		}
		if err == nil && fmt.Sprint(r.Origins) != "[https://www.shop.example]" {
			t.Errorf("%s: of %q", c.name, r.Origins)
		}
	}
	for name, c := range map[string][2]string{
		"no JSON":        {"application/csp-report", `x`},
		"no report":      {"application/csp-report", `{}`},
		"no document":    {"application/csp-report", old("", "inline", "")},
		"a foreign one":  {"application/csp-report", old("about:blank", "inline", "")},
		"no host":        {"application/csp-report", old(page, "https:///x", "")},
		"no list":        {"application/reports+json", `{}`},
		"a body of none": {"application/reports+json", `[{"type":"csp-violation","body":7}]`},
		"too many":       {"application/reports+json", `[` + strings.Repeat(`{"type":"x"},`, mostHosts) + `{"type":"x"}]`},
	} {
		if r, err := Parse(c[0], []byte(c[1]), nil); err == nil || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: %+v, %v", name, r, err)
		}
	}
}

// Whatever is posted, nothing but hosts and words of the site's own comes through.
func FuzzParse(f *testing.F) {
	site := parse(f, head)
	for i := range 3 {
		f.Add(i, good)
		f.Add(i, `{"csp-report":{"document-uri":"https://a.example/x?y","blocked-uri":"https://b.example/c?d#e"}}`)
		f.Add(i, `[{"type":"csp-violation","body":{"documentURL":"https://a.example/x?y","blockedURL":"https://[::1]:80/c"}}]`)
	}
	kinds := []string{"text/plain", "application/csp-report", "application/reports+json"}
	f.Fuzz(func(t *testing.T, kind int, body string) {
		r, err := Parse(kinds[uint(kind)%3], []byte(body), site)
		if err != nil {
			return
		}
		if len(r.Hosts) > mostHosts {
			t.Errorf("%d hosts", len(r.Hosts))
		}
		for _, l := range r.Hosts {
			if u, err := url.Parse("https://" + l.Host); !IsWord(l.Host) && (err != nil && !strings.ContainsAny(l.Host, "!$&'()*+,;=\"`{}<>~") || strings.ContainsAny(l.Host, "/?#@ ") || err == nil && u.Host != l.Host) {
				t.Errorf("host %q: %v", l.Host, err)
			}
		}
		if s := r.State.String(); strings.ContainsAny(s, "/?#@\x00\n") || stateOf(&tally.Sighting{State: s}).String() != s {
			t.Errorf("state %q", s)
		}
	})
}

var headSite = sync.OnceValue(func() *consent.Site {
	lib, _ := known()
	site, _ := config.Parse("stile.yaml", []byte(head), config.Options{Vendors: lib, Languages: banner.Languages(), Now: now})
	return site
})

// marked is a sighting as the site of head keeps it.
func marked(s tally.Sighting) tally.Sighting {
	st := stateOf(&s)
	st.Denied = st.declined(headSite())
	r := Report{Source: s.Source, State: st, Hosts: []tally.Loaded{{Host: s.Host}}}
	Mark(headSite(), nil, &r)
	s.Tags = r.Hosts[0].Tags
	if s.Source == tally.Observer {
		s.State = st.String()
	}
	return s
}

// seen is a sighting of the runtime's: host, what was allowed ("-" before a choice), pages.
func seen(host, allowed string, pages int64) tally.Sighting {
	s := tally.Sighting{Host: host, State: allowed, Chosen: true, Regime: "gdpr", Source: tally.Observer, As: "script", Pages: pages, First: "2026-11-20", Last: "2026-11-22"}
	if allowed == "-" {
		s.State, s.Chosen = "", false
	}
	return marked(s)
}

func with(s tally.Sighting, change func(*tally.Sighting)) tally.Sighting {
	change(&s)
	return marked(s)
}

func signal(s *tally.Sighting) { s.GPC = true }
func csp(s *tally.Sighting) {
	s.Source, s.State, s.Chosen, s.Regime = tally.CSP, tally.UnknownState, false, ""
}

func regime(name string) func(*tally.Sighting) {
	return func(s *tally.Sighting) { s.Regime = name }
}

func TestJudge(t *testing.T) {
	site, lib := parse(t, head), library(t)
	for _, c := range []struct {
		name  string
		seen  tally.Sighting
		want  Verdict
		words string
	}{
		{"accepted", seen("static.hotjar.com", "analytics marketing", 3), Gated, "accepted everything"},
		{"declined", seen("static.hotjar.com", "", 3), Slipped, "declined everything"},
		{"declined in part", seen("static.hotjar.com", "marketing", 3), Slipped, "declined analytics"},
		{"accepted in part", seen("static.hotjar.com", "analytics", 3), Gated, "declined marketing"},
		{"before a choice", seen("static.hotjar.com", "-", 3), Slipped, "before a choice"},
		{"the domain itself", seen("hotjar.com", "", 3), Slipped, "declined everything"},
		{"a name that ends alike", seen("nothotjar.com", "", 3), Unknown, "declined everything"},
		{"by itself", seen("static.hotjar.com", "+hotjar", 3), Gated, "declined everything but Hotjar"},
		{"declined by itself", seen("static.hotjar.com", "-hotjar analytics marketing", 3), Slipped, "accepted without Hotjar"},
		{"another is accepted", seen("w.example", "+hotjar", 3), Slipped, "declined everything but Hotjar"},
		{"the signal", with(seen("connect.facebook.net", "analytics", 3), signal), Slipped, "allowed analytics, with Global Privacy Control"},
		{"accepted against the signal", with(seen("connect.facebook.net", "analytics marketing", 3), signal), Gated, "accepted everything, with Global Privacy Control"},
		{"where tags run until then", with(seen("static.hotjar.com", "-", 3), func(s *tally.Sighting) { s.Regime, s.State = "us", "analytics marketing" }), Gated, "before a choice, where the law lets tags run until then"},
		{"there, with the signal", with(seen("connect.facebook.net", "-", 3), func(s *tally.Sighting) { s.Regime, s.State, s.GPC = "us", "analytics", true }), Slipped, "before a choice, where the law lets tags run until then, with Global Privacy Control"},
		{"where a notice is enough", with(seen("static.hotjar.com", "-", 3), func(s *tally.Sighting) { s.Regime, s.State = "uk", "analytics" }), Gated, "before a choice"},
		{"where each has its own act", with(seen("static.hotjar.com", "+hotjar", 3), regime("pipl")), Gated, "allowed nothing but Hotjar"},
		{"there without it", with(seen("static.hotjar.com", "", 3), regime("pipl")), Slipped, "allowed nothing"},
		{"a law that the site has no more", with(seen("static.hotjar.com", "-", 3), func(s *tally.Sighting) { s.Regime, s.State = "gone", "analytics" }), Gated, "before a choice"},
		{"a policy's report", with(seen("static.hotjar.com", "", 3), csp), Unclear, "not known"},
		{"a policy's report of a vendor", with(seen("www.clarity.ms", "", 3), csp), Ungated, "not known"},
		{"a policy's report of nobody", with(seen("t.example", "", 3), csp), Unknown, "not known"},
		{"inline", with(seen("inline", "", 3), csp), Unclear, "not known"},
		{"a vendor that the file does not name", seen("www.clarity.ms", "analytics marketing", 3), Ungated, "accepted everything"},
		{"nobody's", seen("t.example", "analytics marketing", 3), Unknown, "accepted everything"},
	} {
		list := Judge(site, lib, []tally.Sighting{c.seen})
		if len(list) != 1 || list[0].Verdict != c.want || list[0].States[0].Words != c.words || list[0].Pages != 3 {
			t.Errorf("%s: %+v, want %v, %q", c.name, list, c.want, c.words)
		}
	}
	for _, own := range []string{"cdn.example", "a.fonts.example", "www.shop.example", "img.shop.example"} {
		if list := Judge(site, lib, []tally.Sighting{seen(own, "", 3)}); len(list) != 0 {
			t.Errorf("%s is the site's own: %+v", own, list)
		}
	}
	if list := Judge(site, lib, []tally.Sighting{seen("fonts.example", "", 3)}); len(list) != 1 {
		t.Error("*.fonts.example hides fonts.example")
	}
}

// others are what the file of head may have been before, or may become.
func others() (texts []string) {
	for _, change := range []func(string) string{
		func(text string) string { return text },
		func(text string) string {
			return strings.ReplaceAll(strings.Replace(text, "analytics: {}", "statistics: {title: {en: Statistics}, purpose: {en: It counts.}}", 1), "analytics", "statistics")
		},
		func(text string) string {
			return strings.Replace(text, `"1234567", category: analytics`, `"1234567", category: marketing`, 1)
		},
		func(text string) string {
			return strings.Replace(strings.Replace(text, "analytics: {}", "functional: {}, analytics: {}", 1), `"1234567", category: analytics`, `"1234567", category: functional`, 1)
		},
		func(text string) string {
			return text + "  - {name: More, category: marketing, script: \"https://more.example/m.js\"}\n"
		},
		func(text string) string {
			return strings.Replace(text, "version: 2026-11-01", "version: 2026-11-20, material: true", 1)
		},
	} {
		texts = append(texts, change(head))
	}
	return texts
}

// What was loaded for a tag that consent.Decide released is never held against it, and what it withheld always is, whatever was
// chosen under whatever law, under whatever policy and tags, and whatever the file says when it is judged. Nobody is said to
// have declined what they did not.
func TestJudgeAgreesWithDecide(t *testing.T) {
	lib := library(t)
	var sites []*consent.Site
	for _, text := range others() {
		sites = append(sites, parse(t, text))
	}
	contacts := map[string]string{"hotjar": "static.hotjar.com", "meta-pixel": "connect.facebook.net", "widget": "w.example", "more": "more.example"}
	declined := 0
	rapid.Check(t, func(r *rapid.T) {
		which := rapid.IntRange(0, len(sites)-1)
		before, later := sites[which.Draw(r, "when it was chosen")], sites[which.Draw(r, "when it is judged")]
		site := *sites[which.Draw(r, "when it was seen")]
		site.Lists = map[string][]string{before.List(): before.Entries()}
		v := consent.Visit{Region: rapid.SampledFrom([]string{"DE", "GB", "CN", "US-CA", ""}).Draw(r, "region"), GPC: rapid.Bool().Draw(r, "gpc"), Now: now}
		if rapid.Bool().Draw(r, "chosen") {
			form := map[string][]string{}
			for _, c := range before.Categories {
				if !c.Required && rapid.Bool().Draw(r, c.Name) {
					form["category"] = append(form["category"], c.Name)
				}
			}
			for _, tag := range before.Tags {
				if rapid.Bool().Draw(r, tag.ID) {
					form["service"] = append(form["service"], tag.ID)
				}
			}
			if rapid.Bool().Draw(r, "each") {
				form["services"] = []string{"each"}
			}
			choice, _, err := consent.Parse(form, before, nil)
			if err != nil {
				r.Fatal(err)
			}
			choice.Policy, choice.List = before.Policy.Version, before.List()
			choice.Time, choice.GPC = now.Add(-time.Hour), v.GPC && rapid.Bool().Draw(r, "over the signal")
			v.Choice = &choice
		}
		d := consent.Decide(&site, v)
		// The state as the runtime reports it: see assets/watch.js.
		st := State{Regime: d.Regime.Name, Chosen: d.Choice != nil && !d.Ask, GPC: v.GPC}
		for i, c := range site.Categories {
			if !c.Required && d.Categories[i].Released {
				st.Allowed = append(st.Allowed, c.Name)
			}
		}
		for i := range site.Tags {
			switch tag := &site.Tags[i]; {
			case d.Tags[i].Released && !slices.Contains(st.Allowed, tag.Category):
				st.With = append(st.With, tag.ID)
			case !d.Tags[i].Released && slices.Contains(st.Allowed, tag.Category):
				st.Without = append(st.Without, tag.ID)
			}
		}
		st.Denied = st.declined(&site)
		for i := range site.Tags {
			report := Report{Source: tally.Observer, State: st, Hosts: []tally.Loaded{{Host: contacts[site.Tags[i].ID]}}}
			Mark(&site, lib, &report)
			s := tally.Sighting{Host: report.Hosts[0].Host, State: st.String(), Tags: report.Hosts[0].Tags, Chosen: st.Chosen, GPC: st.GPC, Regime: st.Regime, Source: tally.Observer, Pages: 1}
			f := Judge(later, lib, []tally.Sighting{s})[0]
			want := Slipped
			switch {
			case d.Tags[i].Released:
				want = Gated
			case f.Tag == nil: // the file has it no more
				want = Unknown
			}
			if f.Verdict != want || !report.Hosts[0].Known {
				r.Errorf("%s in %+v: %v, and the tag was %s", s.Host, st, f.Verdict, d.Tags[i])
			}
			for _, name := range f.States[0].State.Denied {
				if declined++; !slices.Contains(v.Choice.Denied, name) {
					r.Errorf("in %+v %s is said to be declined: %q", st, name, f.States[0].Words)
				}
			}
			if why := f.States[0].Because; why.Kind == consent.Declined && !slices.Contains(v.Choice.Denied, why.Subject) && !slices.Contains(v.Choice.Refused, site.Tags[i].ID) {
				r.Errorf("in %+v it is said that %s was declined", st, why.Subject)
			}
		}
	})
	if declined == 0 {
		t.Error("nobody declined anything")
	}
}

// A file that says something else afterwards changes nothing of what visitors did.
func TestSentencesAfterAChange(t *testing.T) {
	lib := library(t)
	for i, text := range others()[1:] {
		site := parse(t, text)
		if got := Sentences(site, Judge(site, lib, []tally.Sighting{seen("static.hotjar.com", "analytics", 200)})); len(got) > 0 {
			t.Errorf("change %d: who accepted it: %s", i, got[0].Text)
		}
		for _, s := range Sentences(site, Judge(site, lib, []tally.Sighting{seen("static.hotjar.com", "marketing", 14)})) {
			if want := "Hotjar was seen on 14 pages "; !strings.HasPrefix(s.Text, want) || strings.Contains(s.Text, "declined") && !strings.Contains(s.Text, "declined analytics") {
				t.Errorf("change %d: who declined it: %s", i, s.Text)
			}
		}
	}
	// The tag came later: what became of it nobody knows. It went: what it loaded then was gated.
	site := parse(t, head)
	if f := Judge(site, lib, []tally.Sighting{{Host: "static.hotjar.com", State: "!analytics", Chosen: true, Regime: "gdpr", Source: tally.Observer, Pages: 9}})[0]; f.Verdict != Unclear {
		t.Errorf("a tag that came later: %v", f.Verdict)
	}
	site.Tags = site.Tags[1:]
	for allowed, want := range map[string]Verdict{"analytics": Gated, "marketing": Ungated} {
		if f := Judge(site, lib, []tally.Sighting{seen("static.hotjar.com", allowed, 9)})[0]; f.Verdict != want {
			t.Errorf("a tag that went, seen with %s: %v", allowed, f.Verdict)
		}
	}
}

func TestSentences(t *testing.T) {
	site, lib := parse(t, head), library(t)
	say := func(list ...tally.Sighting) (texts []string) {
		for _, s := range Sentences(site, Judge(site, lib, list)) {
			texts = append(texts, s.Text)
		}
		return texts
	}
	for _, c := range []struct {
		name string
		seen []tally.Sighting
		want string
	}{
		{"as expected", []tally.Sighting{seen("static.hotjar.com", "analytics", 9)}, ``},
		{"declined", []tally.Sighting{seen("static.hotjar.com", "", 14)}, `Hotjar was seen on 14 pages of visitors who declined analytics: it stands in the theme.`},
		{"one page", []tally.Sighting{seen("static.hotjar.com", "", 1)}, `Hotjar was seen on 1 page of visitors who declined analytics: it stands in the theme.`},
		{"two hosts on the same pages", []tally.Sighting{seen("static.hotjar.com", "", 14), seen("script.hotjar.com", "", 12)}, `Hotjar was seen on 14 pages of visitors who declined analytics: it stands in the theme.`},
		{"two states", []tally.Sighting{seen("static.hotjar.com", "", 10), seen("static.hotjar.com", "marketing", 4), seen("static.hotjar.com", "analytics", 90)}, `Hotjar was seen on 14 pages of visitors who declined analytics: it stands in the theme.`},
		{"by itself", []tally.Sighting{seen("w.example", "-widget analytics", 2)}, `Widget was seen on 2 pages of visitors who declined Widget: it stands in the theme.`},
		{"early", []tally.Sighting{seen("static.hotjar.com", "-", 8)}, `Hotjar was seen on 8 pages before a choice: it stands in the theme.`},
		{"early and declined", []tally.Sighting{seen("static.hotjar.com", "-", 80), seen("static.hotjar.com", "", 2)}, `Hotjar was seen on 2 pages of visitors who declined analytics: it stands in the theme.`},
		{"the signal", []tally.Sighting{with(seen("connect.facebook.net", "analytics", 3), signal)}, `Meta Pixel was seen on 3 pages of visitors whose Global Privacy Control switches marketing off: it stands in the theme.`},
		{"a vendor that the file does not name", []tally.Sighting{seen("www.clarity.ms", "analytics marketing", 5)}, `Microsoft Clarity was seen on 5 pages, and Stile does not gate it: stile.yaml does not name it.`},
		{"with a refusal", []tally.Sighting{seen("www.clarity.ms", "analytics marketing", 5), seen("www.clarity.ms", "", 2)}, `Microsoft Clarity was seen on 2 pages of visitors who declined analytics: it stands in the theme.`},
		{"nobody's", []tally.Sighting{seen("t.example", "analytics marketing", 5)}, `t.example was seen on 5 pages: nobody has said what it is.`},
		{"nobody's with refusals", []tally.Sighting{seen("t.example", "analytics", 5), seen("t.example", "", 2)}, `t.example was seen on 7 pages, 2 of them of visitors who declined everything: nobody has said what it is.`},
		{"a policy's report", []tally.Sighting{with(seen("t.example", "", 5), csp)}, `The security policy reported t.example on 5 pages: stile.yaml does not name it.`},
		{"inline", []tally.Sighting{with(seen("inline", "", 5), csp)}, ``},
		{
			"the worst first",
			[]tally.Sighting{seen("t.example", "", 99), seen("static.hotjar.com", "-", 50), seen("connect.facebook.net", "", 1), seen("www.clarity.ms", "analytics marketing", 60)},
			"Meta Pixel was seen on 1 page of visitors who declined marketing: it stands in the theme.\nHotjar was seen on 50 pages before a choice: it stands in the theme.\n" +
				"Microsoft Clarity was seen on 60 pages, and Stile does not gate it: stile.yaml does not name it.\nt.example was seen on 99 pages, 99 of them of visitors who declined everything: nobody has said what it is.",
		},
	} {
		if got := strings.Join(say(c.seen...), "\n"); got != c.want {
			t.Errorf("%s:\n got %s\nwant %s", c.name, got, c.want)
		}
	}
}

// What the page says to put into stile.yaml can be put there, and gates what was seen.
func TestLines(t *testing.T) {
	site, lib := parse(t, head), library(t)
	hosts := []string{"t.example", "very-long-name-of-a-host-that-somebody-has-given-to-their-cdn.eu-central.shop-assets.test", "127.0.0.1:8081"}
	for _, v := range lib.All() {
		for _, pattern := range v.Hosts {
			if !strings.Contains(pattern, "{") {
				hosts = append(hosts, strings.ReplaceAll(pattern, "*.", "x."))
			}
		}
	}
	n := 0
	for _, host := range hosts {
		list := Judge(site, lib, []tally.Sighting{seen(host, "", 1)})
		if len(list) != 1 || list[0].Tag != nil {
			continue
		}
		for line := range strings.Lines(Lines(site, &list[0])) {
			text := head + "  " + strings.TrimSpace(line) + "\n"
			changed := parse(t, text)
			after := Judge(changed, lib, []tally.Sighting{seen(host, "", 1), seen(host, "analytics marketing", 1)})
			if tag := after[0].Tag; tag == nil && len(list[0].Vendors) < 2 && !strings.Contains(line, "host") {
				t.Errorf("%s: the line %q does not gate it", host, line)
			}
			n++
		}
	}
	if n < 100 {
		t.Errorf("%d lines only", n)
	}
	for _, host := range []string{"[2001:db8::1]", "a_b.example", "localhost"} {
		if list := Judge(site, lib, []tally.Sighting{seen(host, "", 1)}); Lines(site, &list[0]) != "" {
			t.Errorf("%s: a file cannot name it, and the line is %q", host, Lines(site, &list[0]))
		}
	}
}
