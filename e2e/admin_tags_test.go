package e2e

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"

	"github.com/stilehq/stile/server/account"
)

// cells are those of a tag's line in a table of the dashboard.
func (b *tab) cells(tag string) []string {
	b.t.Helper()
	return eval[[]string](b, fmt.Sprintf(`[...document.querySelector('tr[data-tag=%q]').cells].map(c => c.innerText.replace(/\s+/g, ' ').trim())`, tag))
}

// looks runs axe on a page as it is on each screen in each theme, with all that is closed opened, and takes a picture.
func (b *tab) looks(name string) {
	b.t.Helper()
	for _, screen := range screens {
		for _, theme := range []string{"light", "dark"} {
			b.look(screen.width, screen.height, theme)
			b.picture("admin-" + name + "-" + screen.name + "-" + theme)
			b.axe(name+" "+screen.name+" "+theme, "")
			if over := eval[float64](b, `document.documentElement.scrollWidth - document.documentElement.clientWidth`); over > 0 {
				b.t.Errorf("on a %s %s is %v px too wide", screen.name, name, over)
			}
		}
	}
}

const openAll = `(document.querySelectorAll('main details:not(.means, .over)').forEach(d => { d.open = true }), true)`

// What the page of tags counts is what visitors did, and what third parties got: on two of four page views everything was refused, at
// once or before, and on two accepted.
func TestAdminTags(t *testing.T) {
	w := newWorld(t, settings{config: func(text string) string { return sharedCookie(text) + "\npage_views: true\n" }})
	w.user(account.Viewer)
	b := w.open()
	b.visit(shopURL + "/").decide(reject)
	b.visit(shopURL + "/")
	other := b.stranger()
	other.visit(shopURL + "/").decide(accept)
	other.visit(shopURL + "/")
	w.until("all page views to be told", func() bool {
		w.mu.Lock()
		defer w.mu.Unlock()
		return strings.Count(strings.Join(w.requests, "\n"), "POST /stile/shop/view?") >= 4
	})

	b.look(1280, 900, "light").as(account.Viewer, "sites/shop/tags").counts(`document.querySelector('#counted').innerText.startsWith('4 page views in all')`)
	for tag, loads := range w.tagsLoad(2) {
		want := []string{"gated", fmt.Sprint(loads), "2", "50.0%", "declined 2"}
		if got := b.cells(tag)[2:]; !slices.Equal(got[:len(want)], want) || got[len(want)] == "–" {
			t.Errorf("%s, which was loaded %d times, is %q, want %q and when it was released", tag, loads, got, want)
		}
	}
	if got, want := b.cells("pixel-a")[:2], []string{"Pixel A", "marketing"}; !slices.Equal(got, want) {
		t.Errorf("Pixel A is %q", got)
	}
	page := eval[string](b, `document.querySelector('main').innerText`)
	for _, says := range []string{
		"Refusing marketing kept 3 tags from 2 of 4 page views (50.0%).", "Refusing analytics kept 1 tag from 2 of 4 page views (50.0%).",
	} {
		if !strings.Contains(page, says) {
			t.Errorf("the page does not say %q:\n%s", says, page)
		}
	}
	eval[bool](b, openAll)
	b.looks("tags")
	b.loads(func() { b.click("th a[href*='sort=-withheld']") })
	if got := eval[string](b, `document.querySelector('th[aria-sort=descending]').innerText.trim()`); got != "Withheld" {
		t.Errorf("sorted by %q", got)
	}
	b.loads(func() { b.click("tr[data-tag=pixel-a] a") })
	if got := eval[string](b, `document.querySelector('main').innerText`); !strings.Contains(got, "Pixel A Ads Inc.") || !strings.Contains(got, "pixel-a.example") {
		t.Errorf("the page of Pixel A: %s", got)
	}
	eval[bool](b, openAll)
	b.looks("tag")

	// Why did the other visitor get that tag?
	b.load(adminURL + "sites/shop/why")
	b.loads(func() {
		b.say(fmt.Sprintf(`(document.querySelector('#subject').value = %q, document.querySelector('.whyform').requestSubmit())`, other.cookie("stile_shop").Value))
	})
	if got := eval[string](b, `document.querySelector('table.verdicts tbody tr').innerText.replace(/\s+/g, ' ')`); !strings.HasPrefix(got, "House counter analytics released analytics was accepted on ") ||
		strings.Count(got, "released") != 2 || eval[string](b, "location.search") != "" {
		t.Errorf("the doctor says %q, at %s", got, eval[string](b, "location.href"))
	}
	b.looks("why-answer")
}

// The simulator says what stile explain says, and shows the banner where nothing of it can reach anybody.
func TestAdminSimulator(t *testing.T) {
	w := newWorld(t, settings{config: sharedCookie})
	w.user(account.Viewer)
	b := w.open()
	b.look(1280, 1800, "light").as(account.Viewer, "sites/shop/simulator?region=DE")
	for query, args := range map[string][]string{
		"region=DE":                                {"--region", "DE"},
		"region=US-CA&gpc=1":                       {"--region", "US-CA", "--gpc"},
		"region=CN&choice=all":                     {"--region", "CN", "--accept", "all"},
		"region=DE&choice=none":                    {"--region", "DE", "--reject"},
		"choice=some&category=marketing":           {"--accept", "marketing"},
		"choice=some&service=pixel-a":              {"--service", "pixel-a"},
		"choice=all&policy=2020-01-01":             {"--accept", "all", "--policy", "2020-01-01"},
		"choice=all&gpc=1&chosen_gpc=1":            {"--accept", "all", "--gpc", "--chosen-gpc"},
		"choice=all&chosen=2024-02-29&region=GB":   {"--accept", "all", "--chosen", "2024-02-29", "--region", "GB"},
		"choice=some&category=marketing&region=US": {"--accept", "marketing", "--region", "US"},
	} {
		b.load(adminURL + "sites/shop/simulator?" + query)
		var explained struct {
			Regime string
			Ask    bool
			Tags   []struct {
				ID, Name, Category, Because string
				Released, Restricted        bool
			}
		}
		if err := json.Unmarshal([]byte(w.command(append([]string{"explain", w.config, "--json"}, args...)...)), &explained); err != nil {
			t.Fatal(err)
		}
		for _, tag := range explained.Tags {
			verdict := map[bool]string{true: "released", false: "withheld"}[tag.Released]
			if tag.Restricted {
				verdict = "restricted"
			}
			if got, want := b.cells(tag.ID), []string{tag.Name, tag.Category, verdict, tag.Because}; !slices.Equal(got, want) {
				t.Errorf("%s: the simulator says %q, and stile explain %q", query, got, want)
			}
		}
		if got := eval[string](b, `document.querySelector('.results').innerText`); !strings.Contains(got, "Under "+explained.Regime) || strings.Contains(got, "is asked") != explained.Ask {
			t.Errorf("%s: %s, and stile explain: regime %s, asked %v", query, got, explained.Regime, explained.Ask)
		}
	}
	w.reset()
	w.loaded()
	// The frame's page by itself, which its policy holds in the same sandbox.
	b.load(adminURL + "sites/shop/simulator/banner?region=US-CA&lang=de").await(`document.querySelector('stile-banner')`)
	w.asked()
	if got := eval[string](b, `self.origin + ' ' + document.querySelector('stile-banner [value=all]').innerText`); got != "null Alle akzeptieren" {
		t.Errorf("the frame's origin and button are %s", got)
	}
	b.click(accept)
	b.click(choose)
	b.await(`document.querySelector('` + dialog + `')`)
	eval[bool](b, `(document.querySelectorAll('stile-dialog .b button').forEach(x => x.click()), true)`)
	if !b.shows(banner) || !b.shows(dialog) {
		t.Error("after their buttons were pressed the banner or the dialog is gone")
	}
	for _, request := range w.asked() {
		if strings.Contains(request, "POST") {
			t.Errorf("the frame sent %s", request)
		}
	}
	if n := w.records(); n != 0 {
		t.Errorf("there are %d records", n)
	}
	for party, n := range w.parties.Counts() {
		if n > 0 {
			t.Errorf("%s got %d requests", party, n)
		}
	}
	b.load(adminURL + "sites/shop/simulator?region=US-CA&lang=de")
	eval[bool](b, openAll)
	b.looks("simulator")
	b.load(adminURL + "sites/shop/why")
	b.looks("why")
}

// A preview shows the simulated visit on the shop's own page, for which third parties get exactly what the simulator says; the
// browser's own copy of the script is not in its way, choices are refused, and its end brings back who the visitor is.
func TestAdminPreview(t *testing.T) {
	w := newWorld(t, settings{config: sharedCookie})
	w.user(account.Viewer)
	b := w.open()
	b.visit(shopURL + "/").decide(reject)
	b.visit(shopURL + "/") // the browser keeps its own copy of the script
	w.reset()
	w.loaded()
	records := w.records()

	show := func(query string) {
		b.t.Helper()
		b.look(1280, 900, "light")
		b.load(adminURL + "sites/shop/simulator?" + query)
		b.loads(func() { b.click("#preview form button") })
		link := eval[string](b, `document.querySelector('#preview [readonly]')?.value ?? document.querySelector('#preview').innerText`)
		if !strings.HasPrefix(link, consentURL+"/stile/shop/preview?token=") {
			b.t.Fatalf("the link is %s", link)
		}
		b.looks("preview-link")
		b.look(1280, 900, "light")
		b.load(link)
		b.axe("the page of a preview", "")
		b.picture("admin-preview-offer")
		b.click("form button")
		b.w.until("the shop", func() bool { // by way of a page that leads there
			at, err := chromedp.Run(b.ctx, chromedp.Evaluate[string]("location.href"))
			return err == nil && at == shopURL+"/"
		})
		b.settle()
	}
	b.as(account.Viewer, "sites/shop/simulator")
	show("region=DE&choice=some&category=analytics")
	w.received(map[string]int{"counter": 2})
	note := `document.querySelector('stile-preview')?.innerText ?? ''`
	if got := eval[string](b, note); !strings.Contains(got, "Preview: a visitor from DE who accepted analytics, until ") {
		t.Errorf("the note says %q", got)
	}
	b.picture("admin-preview-page")
	b.axe("the note of a preview", "stile-preview")
	w.reset()
	w.loaded()

	show("region=DE")
	w.received(map[string]int{})
	if !b.shows(banner) {
		t.Error("who has not chosen sees no banner in a preview")
	}
	b.click(accept)
	b.await(`document.querySelector('stile-banner [role=status]')?.textContent || document.querySelector('stile-banner .e')?.textContent`)
	if n := w.records(); n != records {
		t.Errorf("there are %d records, and were %d: a choice in a preview was stored", n, records)
	}
	if list := strings.Join(w.asked(), "\n"); !strings.Contains(list, "POST /stile/shop/choice 409") {
		t.Errorf("the choice was not refused:\n%s", list)
	}
	w.received(map[string]int{})

	b.loads(func() { b.click("stile-preview a") }).settle()
	if got := eval[string](b, note); got != "" || b.shows(banner) {
		t.Errorf("after its end there is a note %q, or a banner", got)
	}
	b.visit(shopURL + "/").granted()
	w.received(map[string]int{})
}
