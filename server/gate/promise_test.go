package gate

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/andybalholm/brotli"
	"github.com/tdewolff/parse/v2"
	"github.com/tdewolff/parse/v2/js"
	"pgregory.net/rapid"

	"github.com/stilehq/stile/banner"
	"github.com/stilehq/stile/server/consent"
	"github.com/stilehq/stile/server/vendors"
)

var now = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

// secrets are the texts that must not be in an answer while the tag is withheld: hosts, URLs, account id, cookies and
// every word of its scripts that is a name of its own.
func secrets(t *consent.Tag) []string {
	l := t.Load
	list := []string{l.Script, l.Pixel, t.Account, l.Integrity}
	for _, address := range []string{l.Script, l.Pixel} {
		if u, err := url.Parse(address); err == nil {
			list = append(list, u.Host)
		}
	}
	for _, body := range []string{l.Before, l.Signal, l.After, l.Stop} {
		list = append(list, markers(body)...)
	}
	for _, c := range t.Cookies {
		list = append(list, c.Name)
	}
	for _, a := range l.Attrs {
		list = append(list, a.Value)
	}
	return slices.DeleteFunc(append(list, t.Storage...), func(s string) bool { return len(s) < 4 })
}

// markers are the string literals of a script, which minifying leaves as they are.
func markers(body string) (list []string) {
	lexer := js.NewLexer(parse.NewInputString(body))
	for {
		kind, text := lexer.Next()
		if kind == js.ErrorToken {
			return list
		}
		if kind == js.StringToken && len(text) > 8 {
			list = append(list, string(text[1:len(text)-1]))
		}
	}
}

// leaks lists what an answer holds of tags that the decision withheld. What a released tag or the runtime itself holds as
// well is no secret.
func leaks(g *Gate, d *consent.Decision, answer string) (found []string) {
	open := g.parts.core + g.parts.act + g.parts.banner + english()
	for _, c := range g.site.Categories {
		open += " " + c.Name
	}
	for i := range g.site.Tags {
		if d.Tags[i].Released {
			open += g.tags[i]
		}
	}
	for i := range g.site.Tags {
		if d.Tags[i].Released {
			continue
		}
		for _, secret := range secrets(&g.site.Tags[i]) {
			if strings.Contains(answer, secret) && !strings.Contains(open, secret) {
				found = append(found, g.site.Tags[i].ID+": "+secret)
			}
		}
	}
	return found
}

// english are the words that any visitor reads.
var english = sync.OnceValue(func() string { return fmt.Sprint(banner.English()) })

// decoded returns an answer in all its encodings, which must be one text.
func decoded(t interface{ Fatal(...any) }, a *Answer) string {
	zr, err := gzip.NewReader(bytes.NewReader(a.Gzip))
	if err != nil {
		t.Fatal(err)
	}
	unzipped, err := io.ReadAll(zr)
	if err != nil {
		t.Fatal(err)
	}
	unbrotlied, err := io.ReadAll(brotli.NewReader(bytes.NewReader(a.Brotli())))
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(unzipped, a.Identity) || !bytes.Equal(unbrotlied, a.Identity) {
		t.Fatal("the encodings differ")
	}
	return string(a.Identity)
}

func site(tags ...consent.Tag) *consent.Site {
	return &consent.Site{
		Name: "shop", Controller: consent.Controller{Name: "EasyDser", Contact: "privacy@shop.example"},
		Policy: consent.Policy{Version: "2026-11-01"}, Languages: []string{"en", "de", "zh-Hans", "ar"}, Memory: 180 * 24 * time.Hour,
		Appearance: consent.Appearance{Light: consent.Colours{Accent: "#0b5fff"}},
		Regimes: []consent.Regime{
			{Name: "gdpr", Regions: []string{"EEA"}},
			{Name: "uk", Regions: []string{"GB"}, NoticeOnly: []string{"analytics"}},
			{Name: "pipl", Regions: []string{"CN"}, Separate: true},
			{Name: "us", Regions: []string{"US"}, Model: consent.OptOut},
			{Name: "other", Regions: []string{"*"}},
		},
		Categories: []consent.Category{{Name: "necessary", Required: true}, {Name: "functional"}, {Name: "analytics"}, {Name: "marketing", Sells: true}},
		Tags:       tags,
	}
}

// library is every vendor with its example account, in the category it usually has, beside one of each custom form.
func library(t testing.TB) []consent.Tag {
	lib, err := vendors.New()
	if err != nil {
		t.Fatal(err)
	}
	var tags []consent.Tag
	for _, v := range lib.All() {
		options := map[string]string{}
		for _, o := range v.Options {
			options[o.Name] = o.Example
		}
		tag, err := v.Tag(consent.Tag{}, v.Account.Example, options)
		if err != nil {
			t.Fatal(err)
		}
		tags = append(tags, tag)
	}
	return append(tags,
		consent.Tag{ID: "widget", Name: "Widget", Category: "functional", Load: consent.Load{Script: "https://chat.widget.test/w.js", Integrity: "sha384-abcdef"}, Cookies: []consent.Cookie{{Name: "widget_*"}}},
		consent.Tag{ID: "gif", Name: "Gif", Category: "marketing", Load: consent.Load{Pixel: "https://gif.pixel.test/p.gif?u={page}"}},
		consent.Tag{ID: "inline", Name: "Inline", Category: "analytics", Load: consent.Load{Before: `window.q = "inline secret"; // and a comment`}, Storage: []string{"inline_storage"}},
		consent.Tag{ID: "needy", Name: "Needy", Category: "marketing", Needs: []string{"inline"}, Load: consent.Load{Before: `window.r = "needy secret"`}},
	)
}

// The product's promise, over every subset of the categories, each regime, with and without the signal.
func TestPromiseEverySubset(t *testing.T) {
	s := site(library(t)...)
	g, err := New(s)
	if err != nil {
		t.Fatal(err)
	}
	defer g.Close()
	optional := []string{"functional", "analytics", "marketing"}
	for _, region := range []string{"DE", "GB", "CN", "US"} {
		for subset := range 1 << len(optional) {
			for _, gpc := range []bool{false, true} {
				var form []string
				for i, name := range optional {
					if subset>>i&1 == 1 {
						form = append(form, name)
					}
				}
				c, _, err := consent.Parse(map[string][]string{"category": form}, s, nil)
				if err != nil {
					t.Fatal(err)
				}
				c.Time = now
				for _, choice := range []*consent.Choice{&c, nil} {
					d := consent.Decide(s, consent.Visit{Choice: choice, Region: region, GPC: gpc, Now: now})
					a, err := g.Answer(&d, "en")
					if err != nil {
						t.Fatal(err)
					}
					text := decoded(t, a)
					if found := leaks(g, &d, text); len(found) > 0 {
						t.Errorf("region %s, accepted %v, GPC %v: the answer holds %q", region, form, gpc, found)
					}
					for i, v := range d.Tags {
						if tag := s.Tags[i]; v.Released && !strings.Contains(text, literal(tag.ID)) {
							t.Errorf("region %s, accepted %v: %s is released and not in the answer", region, form, tag.ID)
						}
					}
				}
			}
		}
	}
}

// The test above can fail: an answer for a visitor who accepted all, held against the decision of one who refused, shows
// every tag.
func TestPromiseTestFails(t *testing.T) {
	s := site(library(t)...)
	g, err := New(s)
	if err != nil {
		t.Fatal(err)
	}
	defer g.Close()
	all, _, err := consent.Parse(map[string][]string{"accept": {"all"}}, s, nil)
	if err != nil {
		t.Fatal(err)
	}
	all.Time = now
	granted := consent.Decide(s, consent.Visit{Choice: &all, Region: "DE", Now: now})
	a, err := g.Answer(&granted, "en")
	if err != nil {
		t.Fatal(err)
	}
	refused := consent.Decide(s, consent.Visit{Region: "DE", Now: now})
	found := leaks(g, &refused, string(a.Identity))
	for i := range s.Tags {
		if refused.Tags[i].Released {
			continue // it is for everybody
		}
		if id := s.Tags[i].ID; !slices.ContainsFunc(found, func(f string) bool { return strings.HasPrefix(f, id+": ") }) {
			t.Errorf("a leak of %s would not be found", id)
		}
	}
}

// The promise over generated sites: any number of tags of any form in any category, with needs, shared hosts, services
// accepted by themselves, and words that are hard to quote.
func TestPromiseGenerated(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var tags []consent.Tag
		for i := range rapid.IntRange(1, 10).Draw(t, "tags") {
			tags = append(tags, genTag(t, i, tags))
		}
		s := site(tags...)
		g, err := New(s)
		if err != nil {
			t.Fatal(err)
		}
		defer g.Close()
		form := map[string][]string{}
		for _, name := range []string{"functional", "analytics", "marketing"} {
			if rapid.Bool().Draw(t, name) {
				form["category"] = append(form["category"], name)
			}
		}
		for _, tag := range tags {
			if rapid.IntRange(0, 4).Draw(t, "alone") == 0 {
				form["service"] = append(form["service"], tag.ID)
			}
		}
		c, _, err := consent.Parse(form, s, nil)
		if err != nil {
			t.Fatal(err)
		}
		c.Time = now
		v := consent.Visit{Choice: &c, Now: now, GPC: rapid.Bool().Draw(t, "gpc"), Region: rapid.SampledFrom([]string{"", "DE", "GB", "CN", "US"}).Draw(t, "region")}
		if rapid.IntRange(0, 3).Draw(t, "undecided") == 0 {
			v.Choice = nil
		}
		d := consent.Decide(s, v)
		text, err := g.compose(&d, "en", "") // that its encodings are the same text is tested above
		if err != nil {
			t.Fatal(err)
		}
		if found := leaks(g, &d, text); len(found) > 0 {
			t.Fatalf("the answer holds %q", found)
		}
		if _, err := js.Parse(parse.NewInputString(text), js.Options{}); err != nil {
			t.Fatalf("the answer is no script: %v", err)
		}
	})
}

func genTag(t *rapid.T, i int, before []consent.Tag) consent.Tag {
	name := rapid.StringMatching(`[A-Za-z"'<>&{}\\é漢 ]{0,6}`).Draw(t, "name")
	tag := consent.Tag{
		ID: fmt.Sprintf("tag-%d", i), Name: fmt.Sprintf("%s%d", name, i), Account: fmt.Sprintf("ACC-%04d", i),
		Category: rapid.SampledFrom([]string{"necessary", "functional", "analytics", "marketing"}).Draw(t, "category"),
		Cookies:  []consent.Cookie{{Name: fmt.Sprintf("cookie%d_*", i)}}, Storage: []string{fmt.Sprintf("store%d", i)},
	}
	host := fmt.Sprintf("host%d.test", rapid.IntRange(0, 5).Draw(t, "host"))
	body := fmt.Sprintf(`window["marker number %d"] = '%s'`, i, strings.NewReplacer("'", "", `\`, "").Replace(name))
	switch rapid.IntRange(0, 2).Draw(t, "form") {
	case 0:
		tag.Load = consent.Load{Script: "https://" + host + "/w.js?id=" + tag.Account, Before: body, Stop: body + " // end"}
	case 1:
		tag.Load = consent.Load{Pixel: "https://" + host + "/p.gif?id=" + tag.Account}
	default:
		tag.Load = consent.Load{Before: body}
	}
	if len(before) > 0 && rapid.IntRange(0, 3).Draw(t, "needy") == 0 {
		tag.Needs = []string{before[rapid.IntRange(0, len(before)-1).Draw(t, "need")].ID}
	}
	return tag
}

// What is the same for everybody holds nothing that runs: the dialog names recipients, never how they are reached.
func TestPromiseDialog(t *testing.T) {
	s := site(library(t)...)
	g, err := New(s)
	if err != nil {
		t.Fatal(err)
	}
	defer g.Close()
	for i := range s.Regimes {
		for name, make := range map[string]func() (*Answer, error){
			"the dialog":              func() (*Answer, error) { return g.Dialog(&s.Regimes[i], false, "en") },
			"what stands in the page": func() (*Answer, error) { return g.Page(&s.Regimes[i], "en") },
		} {
			a, err := make()
			if err != nil {
				t.Fatal(err)
			}
			text := decoded(t, a)
			for j := range s.Tags {
				tag := &s.Tags[j]
				for _, secret := range []string{tag.Load.Script, tag.Load.Pixel, tag.Account} {
					if len(secret) > 3 && strings.Contains(text, secret) {
						t.Errorf("%s holds %q of %s", name, secret, tag.ID)
					}
				}
			}
		}
	}
}

// A1, B6 and B1 in every language: who, each purpose, that one may refuse and change one's mind, the recipients, and three
// ways on of which the first two are the same element with the same attributes.
func TestB6FirstLayer(t *testing.T) {
	s := site(library(t)...)
	s.Languages = banner.Languages()
	g, err := New(s)
	if err != nil {
		t.Fatal(err)
	}
	defer g.Close()
	for _, lang := range s.Languages {
		d := consent.Decide(s, consent.Visit{Region: "DE", Now: now})
		a, err := g.Answer(&d, lang)
		if err != nil {
			t.Fatal(err)
		}
		w, err := banner.LoadWords(lang)
		if err != nil {
			t.Fatal(err)
		}
		text := string(a.Identity)
		for _, want := range []string{
			"EasyDser", w.Refuse, w.Recipients, w.Categories.Functional.Purpose, w.Categories.Analytics.Purpose, w.Categories.Marketing.Purpose,
			"<button type=button value=none>" + w.RejectAll + "</button>", "<button type=button value=all>" + w.AcceptAll + "</button>",
		} {
			if !strings.Contains(text, want) {
				t.Errorf("%s: the first layer lacks %q", lang, want)
			}
		}
	}
}
