// Package gate turns a consent.Decision into the bytes that a visitor gets. It knows no HTTP.
//
// A site's configuration has a finite set of answers. Each distinct one is composed, minified, compressed and hashed
// once, when it is first asked for, and kept. The promise of the product stands here: an answer holds nothing of a tag
// that the decision withheld, no host, no URL, no account id and no line of its script.
package gate

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/a-h/templ"

	"github.com/stilehq/stile/banner"
	"github.com/stilehq/stile/server/consent"
)

// Gate holds what a site's answers are composed of, and the answers that were made.
type Gate struct {
	site  *consent.Site
	parts *parts
	tags  []string // as object literals, one for each Site.Tags
	words map[string]*banner.Words
	style struct{ banner, note, dialog, place, page string }
	kept  *store

	version string
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
		words, err := banner.LoadWords(lang)
		if err != nil {
			return nil, err
		}
		g.words[lang] = words.With(site.Words[lang])
	}
	if err := g.draw(); err != nil {
		return nil, err
	}
	if g.version, err = g.versionOf(); err != nil {
		return nil, err
	}
	g.kept = newStore(Memory)
	return g, nil
}

// draw makes the style sheets.
func (g *Gate) draw() (err error) {
	look := look(g.site.Appearance)
	layout := append([]string{"shared.css", "banner.css"}, layouts[g.site.Appearance.Position]...)
	const placed = ":is(stile-embed,stile-control,stile-note)"
	for _, sheet := range []struct {
		to                *string
		element, selector string
		files             []string
	}{
		{&g.style.banner, "stile-banner", "stile-banner", layout},
		{&g.style.note, "stile-note", "stile-note", []string{"shared.css", "note.css"}},
		{&g.style.dialog, "stile-dialog", "stile-dialog", []string{"shared.css", "dialog.css"}},
		{&g.style.place, placed, placed, []string{"shared.css", "note.css", "place.css"}},
		{&g.style.page, "stile-page", "html", []string{"page.css", "dialog.css"}},
	} {
		if *sheet.to, err = style(sheet.element, banner.Theme(sheet.selector, look), sheet.files...); err != nil {
			return err
		}
	}
	return nil
}

// layouts are the style sheets of the positions, beside that of the banner at the bottom.
var layouts = map[string][]string{
	"top": {"position-top.css"}, "corner": {"position-corner.css"}, "centre": {"position-centre.css"},
	"top-corner": {"position-corner.css", "position-top.css"},
}

func look(a consent.Appearance) banner.Look {
	return banner.Look{Theme: a.Theme, Light: banner.Colours(a.Light), Dark: banner.Colours(a.Dark), Radius: a.Radius, Font: a.Font}
}

// Contrast is the contrast of text on its background and of what is written on the buttons, each 1 to 21, with what Stile
// chooses for colours that are not given.
func Contrast(dark bool, c consent.Colours) (text, button float64) {
	filled := banner.Colours(c).Fill(dark)
	return banner.Contrast(filled.Text, filled.Background), banner.Contrast(filled.OnAccent, filled.Accent)
}

// Turn counts how often the gate let go of answers to make room. Who holds on to some lets go of them when it changes.
func (g *Gate) Turn() uint64 { return g.kept.turn.Load() }

// Close ends the work that goes on in the background.
func (g *Gate) Close() { g.kept.close() }

// Answer returns the script for a decision, with the banner in lang (one of Site.Languages) if the visitor must be asked.
func (g *Gate) Answer(d *consent.Decision, lang string) (*Answer, error) {
	return g.kept.get(answerKey(d, lang), func() (string, error) { return g.compose(d, lang, "") })
}

// Viewed is Answer for a site that counts page views: the page tells of each by the outcome's name.
func (g *Gate) Viewed(d *consent.Decision, lang, outcome string) (*Answer, error) {
	return g.kept.get(answerKey(d, lang)+"|"+outcome, func() (string, error) { return g.compose(d, lang, outcome) })
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
	b.WriteByte("|c"[bit(d.Crawler)])
	if d.Ask || d.Tell {
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

func (g *Gate) compose(d *consent.Decision, lang, outcome string) (string, error) {
	state, err := g.state(d, lang)
	if err != nil {
		return "", err
	}
	first, released, err := g.modes(d)
	if err != nil {
		return "", err
	}
	for i, v := range d.Tags {
		switch {
		case v.Released:
			released = append(released, g.tags[i])
		case v.Restricted:
			released = append(released, "{r:1,"+strings.TrimPrefix(g.tags[i], "{"))
		}
	}
	first += "(" + g.parts.core + ")(" + state + ",[" + strings.Join(released, ",") + "]"
	last := ")\n"
	if g.site.SinglePage {
		last = ");stile._(0,0," + g.parts.walk + ")\n"
	}
	last = g.sampled(last)
	tell := g.viewed(outcome)
	if !d.Ask && !d.Tell {
		if tell != "" {
			first += ",null," + tell
		}
		return first + last, nil
	}
	v, err := g.View(d, lang)
	if err != nil {
		return "", err
	}
	what, view, text := g.parts.note, banner.Note(v), []string{g.style.note}
	if d.Ask {
		what, view, text = g.parts.banner, banner.Banner(v), []string{g.style.banner, v.Words.Saved, v.Words.Retrying, v.Words.Failed}
	}
	markup, err := render(view)
	if err != nil {
		return "", fmt.Errorf("drawing the banner in %s: %w", lang, err)
	}
	ui := call(what, append([]string{markup}, text...)...)
	if tell != "" {
		ui = "k=>{(" + ui + ")(k);(" + tell + ")(k)}"
	}
	return first + "," + g.parts.act + "," + ui + last, nil
}

// viewed is a function of the kernel that tells of the page view; "" where nobody wants to know.
func (g *Gate) viewed(outcome string) string {
	if outcome == "" {
		return ""
	}
	walk := ""
	if g.site.SinglePage {
		walk = "," + g.parts.walk
	}
	return "k=>(" + g.parts.view + ")(k," + literal(outcome) + walk + ")"
}

// call is a function of the kernel that calls a part with it and some text.
func call(part string, text ...string) string {
	var b strings.Builder
	b.WriteString("k=>(" + part + ")(k")
	for _, t := range text {
		b.WriteString("," + literal(t))
	}
	return b.String() + ")"
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
	o.text("z", strings.Join(g.refused(d), " "))
	o.text("v", map[string]string{"auto": "a", "start": "s", "end": "e"}[g.site.Appearance.Control])
	if g.site.Minors.Age > 0 {
		o.raw("m", fmt.Sprint(1+bit(d.Choice != nil && d.Choice.Minor)))
	}
	if d.Ask || d.Tell {
		notice, err := g.Notice(d.Regime, lang)
		if err != nil {
			return "", err
		}
		if d.Ask {
			o.raw("a", "1")
		}
		if d.Regime.Model == consent.OptOut {
			o.text("w", strings.Join(g.selling(), " "))
		}
		o.text("l", lang)
		o.text("h", notice.Hash)
		if len(g.site.Languages) > 1 {
			o.text("o", strings.Join(g.site.Languages, " "))
		}
	}
	return o.String(), nil
}

// refused are the tags that were declined by themselves, or are new, in a category that is allowed: markup in the page that
// names one of them waits.
func (g *Gate) refused(d *consent.Decision) (ids []string) {
	for i, v := range d.Tags {
		if !v.Released && g.granted(d, g.site.Tags[i].Category) {
			ids = append(ids, g.site.Tags[i].ID)
		}
	}
	return ids
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
		ui := call(g.parts.dialog, markup, g.style.dialog, notice.Hash, v.Words.Saved, v.Words.Retrying, v.Words.Failed)
		if v.Age > 0 {
			step, err := render(banner.AgeStep(v))
			if err != nil {
				return "", fmt.Errorf("drawing the question for the age in %s: %w", lang, err)
			}
			ui = "k=>{(" + ui + ")(k);(" + g.parts.age + ")(k," + literal(step) + "," +
				literal(map[string]string{"guardian": v.Words.Age.Guardian, "copied": v.Words.Age.Copied}) + ")}"
		}
		return "stile._(0,0," + g.parts.act + "," + ui + ")\n", nil
	})
}

// Page returns the script that draws what stands in the page: placeholders, the permanent control, what is left after a
// withdrawal. It is the same for every visitor, and names the vendors as the preferences do.
func (g *Gate) Page(r *consent.Regime, lang string) (*Answer, error) {
	return g.kept.get(strings.Join([]string{"page", r.Name, lang}, "|"), func() (string, error) {
		v, err := g.View(&consent.Decision{Regime: r}, lang)
		if err != nil {
			return "", err
		}
		html := map[string]string{"company": v.Words.Left.Company, "browser": v.Words.Left.Browser}
		for name, c := range map[string]templ.Component{"embed": banner.Placeholder(v), "control": banner.Control(v), "left": banner.Leftovers(v)} {
			if html[name], err = render(c); err != nil {
				return "", fmt.Errorf("drawing %s in %s: %w", name, lang, err)
			}
		}
		purposes, services := map[string][2]string{}, map[string][2]string{}
		for _, c := range v.Categories {
			purposes[c.Name] = [2]string{c.Title, c.Purpose}
			for _, s := range c.Services {
				services[s.ID] = [2]string{cmp.Or(s.Company, s.Name), c.Name}
			}
		}
		return "stile._(0,0,null,k=>(" + g.parts.page + ")(k," + literal(html) + "," + literal(g.style.place) + "," + literal(purposes) + "," +
			literal(services) + "))\n", nil
	})
}

// selling are the optional categories that sell or share data.
func (g *Gate) selling() (names []string) {
	for i := range g.site.Categories {
		if c := &g.site.Categories[i]; c.Sells && !c.Required {
			names = append(names, c.Name)
		}
	}
	return names
}

// Markup returns the script that lets in what waits in the page. It is the same for every visitor and site.
func (g *Gate) Markup() (*Answer, error) {
	return g.kept.get("markup", func() (string, error) { return "stile._(0,0," + g.parts.markup + ")\n", nil })
}

// Again returns the script that loads a page anew where what is newly allowed is stopped by the page's policy. It is the same
// for every visitor and site.
func (g *Gate) Again() (*Answer, error) {
	return g.kept.get("again", func() (string, error) { return "stile._(0,0," + g.parts.again + ")\n", nil })
}

// Style returns the style sheet of the pages.
func (g *Gate) Style() (*Answer, error) {
	return g.kept.get("style", func() (string, error) { return g.style.page, nil })
}
