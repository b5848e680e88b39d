// Package gate turns a consent.Decision into the bytes that a visitor gets. It knows no HTTP.
//
// A site's configuration has a finite set of answers. Each distinct one is composed, minified, compressed and hashed
// once, when it is first asked for, and kept. The promise of the product stands here: an answer holds nothing of a tag
// that the decision withheld, no host, no URL, no account id and no line of its script.
package gate

import (
	"fmt"
	"slices"
	"strings"

	"github.com/stilehq/stile/banner"
	"github.com/stilehq/stile/server/consent"
)

// Gate holds what a site's answers are composed of, and the answers that were made.
type Gate struct {
	site  *consent.Site
	parts *parts
	tags  []string // as object literals, one for each Site.Tags
	words map[string]*banner.Words
	style struct{ banner, dialog, page string }
	kept  *store
}

// Memory is the most that a site's kept answers take, in bytes; past it those that were not asked for lately are dropped,
// and made again when they are.
const Memory = 32 << 20

// New compiles a site's gate. Close it when it is no longer used.
func New(site *consent.Site) (*Gate, error) {
	g := &Gate{site: site, words: map[string]*banner.Words{}}
	var err error
	if g.parts, err = loadParts(); err != nil {
		return nil, err
	}
	for i := range site.Tags {
		tag, err := tagObject(&site.Tags[i])
		if err != nil {
			return nil, err
		}
		g.tags = append(g.tags, tag)
	}
	for _, lang := range site.Languages {
		if g.words[lang], err = banner.LoadWords(lang); err != nil {
			return nil, err
		}
	}
	look := site.Appearance
	layout := []string{"shared.css", "banner.css"}
	if look.Position != "" && look.Position != "bottom" {
		layout = append(layout, "position-"+look.Position+".css")
	}
	theme := func(selector string) string { return banner.Theme(selector, look.Theme, look.Accent) }
	if g.style.banner, err = style("stile-banner", theme("stile-banner"), layout...); err != nil {
		return nil, err
	}
	if g.style.dialog, err = style("stile-dialog", theme("stile-dialog"), "shared.css", "dialog.css"); err != nil {
		return nil, err
	}
	if g.style.page, err = style("stile-page", theme("html"), "page.css", "dialog.css"); err != nil {
		return nil, err
	}
	g.kept = newStore(Memory)
	return g, nil
}

// Turn counts how often the gate let go of answers to make room. Who holds on to some lets go of them when it changes.
func (g *Gate) Turn() uint64 { return g.kept.turn.Load() }

// Close ends the work that goes on in the background.
func (g *Gate) Close() { g.kept.close() }

// Answer returns the script for a decision, with the banner in lang (one of Site.Languages) if the visitor must be asked.
func (g *Gate) Answer(d *consent.Decision, lang string) (*Answer, error) {
	return g.kept.get(answerKey(d, lang), func() (string, error) { return g.compose(d, lang) })
}

// answerKey names an answer by all that it depends on.
func answerKey(d *consent.Decision, lang string) string {
	var b strings.Builder
	b.WriteString(d.Regime.Name)
	b.WriteByte('|')
	b.WriteString(d.Choice.State())
	b.WriteByte('|')
	for _, v := range slices.Concat(d.Categories, d.Tags) {
		b.WriteByte("01"[bit(v.Released)])
	}
	b.WriteByte("|g"[bit(d.GPC)])
	if d.Ask {
		b.WriteString(lang)
	}
	return b.String()
}

func bit(b bool) int {
	if b {
		return 1
	}
	return 0
}

func (g *Gate) compose(d *consent.Decision, lang string) (string, error) {
	state, err := g.state(d, lang)
	if err != nil {
		return "", err
	}
	var released []string
	for i, v := range d.Tags {
		if v.Released {
			released = append(released, g.tags[i])
		}
	}
	list := "[" + strings.Join(released, ",") + "]"
	if !d.Ask {
		return "(" + g.parts.core + ")(" + state + "," + list + ")\n", nil
	}
	v, err := g.View(d, lang)
	if err != nil {
		return "", err
	}
	markup, err := render(banner.Banner(v))
	if err != nil {
		return "", fmt.Errorf("drawing the banner in %s: %w", lang, err)
	}
	ui := "k=>(" + g.parts.banner + ")(k," + literal(markup) + "," + literal(g.style.banner) + "," + literal(v.Words.Saved) + ")"
	return "(" + g.parts.core + ")(" + state + "," + list + "," + g.parts.act + "," + ui + ")\n", nil
}

// state is what the answer was made for: see State in assets/types.d.ts.
func (g *Gate) state(d *consent.Decision, lang string) (string, error) {
	var required, allowed, denied []string
	for i, v := range d.Categories {
		switch name := g.site.Categories[i].Name; {
		case g.site.Categories[i].Required:
			required = append(required, name)
		case v.Released:
			allowed = append(allowed, name)
		default:
			denied = append(denied, name)
		}
	}
	var o object
	o.text("n", g.site.Name)
	o.raw("s", literal(d.Choice.State()))
	o.raw("g", fmt.Sprint(bit(d.GPC)))
	o.raw("q", literal(strings.Join(required, " ")))
	o.raw("c", literal(strings.Join(allowed, " ")))
	o.raw("d", literal(strings.Join(denied, " ")))
	o.text("r", d.Regime.Name)
	if d.Ask {
		notice, err := g.Notice(d.Regime, lang)
		if err != nil {
			return "", err
		}
		o.raw("a", "1")
		o.text("l", lang)
		o.text("h", notice.Hash)
		if len(g.site.Languages) > 1 {
			o.text("o", strings.Join(g.site.Languages, " "))
		}
	}
	return o.String(), nil
}

// Dialog returns the script that brings the preferences dialog, in one of the site's languages under one of its regimes.
// It is the same for every visitor.
func (g *Gate) Dialog(r *consent.Regime, gpc bool, lang string) (*Answer, error) {
	key := strings.Join([]string{"dialog", r.Name, lang, fmt.Sprint(gpc)}, "|")
	return g.kept.get(key, func() (string, error) {
		notice, err := g.Notice(r, lang)
		if err != nil {
			return "", err
		}
		v, err := g.View(&consent.Decision{Regime: r, GPC: gpc}, lang)
		if err != nil {
			return "", err
		}
		markup, err := render(banner.Dialog(v))
		if err != nil {
			return "", fmt.Errorf("drawing the dialog in %s: %w", lang, err)
		}
		ui := "k=>(" + g.parts.dialog + ")(k," + literal(markup) + "," + literal(g.style.dialog) + "," +
			literal(v.Words.Saved) + "," + literal(notice.Hash) + ")"
		return "stile._(0,0," + g.parts.act + "," + ui + ")\n", nil
	})
}

// Style returns the style sheet of the pages.
func (g *Gate) Style() (*Answer, error) {
	return g.kept.get("style", func() (string, error) { return g.style.page, nil })
}
