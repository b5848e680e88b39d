package e2e

import (
	"strings"
	"testing"

	"github.com/chromedp/chromedp/kb"
	"github.com/google/go-cmp/cmp"

	"github.com/stilehq/stile/server/account"
)

// figures is what a card of the overview says, without its definition and without what changed.
const figures = `Object.fromEntries([...document.querySelectorAll('.stat')].map(s => [
	s.querySelector('dt').firstChild.textContent.trim(), [...s.querySelectorAll('dd :is(b, small > :last-child)')].map(e => e.innerText.trim()).join(' ').trim()]))`

// What visitors did stands on the overview, to the last one, and on the page of all sites.
func TestAdminOverviewCountsWhatVisitorsDid(t *testing.T) {
	w := newWorld(t, settings{config: sharedCookie})
	w.user(account.Viewer)
	b := w.open()
	for _, v := range []struct {
		button string
		times  int
	}{{accept, 6}, {reject, 4}, {"", 3}} {
		for range v.times {
			s := b.stranger().visit(shopURL)
			if v.button != "" {
				s.decide(v.button)
			}
		}
	}
	s := b.stranger().visit(shopURL).openDialog() // one picks, and later takes it all back
	s.say(`document.querySelector('stile-dialog').shadowRoot?.querySelector('input:not(:disabled)').click() ?? document.querySelector('stile-dialog input:not(:disabled)').click()`)
	s.decide(dialogSave)
	eval[bool](s, `stile.withdraw().then(() => true)`)

	b.as(account.Viewer, "sites/shop/?period=7d") // the day may end meanwhile
	b.counts(`document.querySelector('.apart')?.innerText.replace(/\s+/g, ' ').includes('Withdrawals ? 1 ') ?? false`)
	got := eval[map[string]string](b, figures)
	got["Displays"], _, _ = strings.Cut(got["Displays"], " in ") // how many answers a view takes is the tally's to say
	if diff := cmp.Diff(map[string]string{
		"Displays": "14", "Interactions": "11", "Ignores": "3", "Interaction rate": "78.6% of displays",
		"Accept all": "6 54.5% of answers", "Reject all": "4 36.4% of answers", "Custom": "1 9.1% of answers", "Opt-in rate": "63.6% of answers",
	}, got); diff != "" {
		t.Error(diff)
	}
	if got := eval[string](b, `[...document.querySelector('.figures').querySelectorAll('tbody tr')].map(r => [...r.querySelectorAll('td')].slice(0, 5).map(c => +c.textContent))
		.reduce((sum, r) => sum.map((n, i) => n + r[i])).join()`); got != "14,6,1,4,3" {
		t.Errorf("the days of the table have %s together", got)
	}
	b.load(adminURL)
	if got := eval[string](b, `document.querySelector('.sitelist dl').innerText.replace(/\s+/g, ' ').trim()`); !strings.Contains(got, "Opt-in rate 63.6%") {
		t.Errorf("the page of all sites has %s", got)
	}
	for _, page := range []string{"", "sites/shop/", "sites/shop/?period=12m&device=desktop", "sites/shop/?country=JP", "sites/shop/?device=fridge"} {
		b.load(adminURL + page)
		for i, screen := range screens {
			b.look(screen.width, screen.height, []string{"light", "dark"}[i]).axe(page+" on a "+screen.name, "")
			if wide := eval[int64](b, `document.documentElement.scrollWidth`); wide > screen.width {
				t.Errorf("%s is %d wide on a %s", page, wide, screen.name)
			}
		}
	}
	overviewByKeyboard(b)
}

// overviewByKeyboard finds filters, definitions and the table without a mouse.
func overviewByKeyboard(b *tab) {
	b.t.Helper()
	b.look(1280, 800, "light").load(adminURL + "sites/shop/")
	reach := func(what, selector string) {
		b.t.Helper()
		for range 80 {
			if eval[bool](b, `document.activeElement.matches(`+"`"+selector+"`"+`)`) {
				return
			}
			b.press(kb.Tab)
		}
		b.t.Fatalf("the keyboard does not reach %s", what)
	}
	reach("the periods", ".tabs a")
	reach("the other dates", ".over > summary")
	b.press(kb.Enter)
	reach("the first day", ".panel [name=from]")
	b.press(kb.Escape)
	if eval[bool](b, `!!document.querySelector('.over[open]')`) || !eval[bool](b, `document.activeElement.matches('.over > summary')`) {
		b.t.Error("Escape does not close the dates, or loses the focus")
	}
	reach("a definition", ".stat .means > summary")
	b.press(kb.Enter)
	if !eval[bool](b, `document.activeElement.nextElementSibling.checkVisibility()`) {
		b.t.Error("Enter does not open a definition")
	}
	b.press(kb.Escape)
	reach("the table", ".figures > summary")
	b.press(kb.Enter)
	reach("its rows", ".figures .scroll")

	b.load(adminURL + "sites/shop/")
	reach("the device", ".filters [name=device]")
	b.say(`(self.sent = 0, document.querySelector('.filters').addEventListener('submit', () => { self.sent++ }))`)
	b.press(kb.ArrowDown).press(kb.ArrowDown).press("D")
	if got := eval[int](b, `self.sent`); got != 0 {
		b.t.Errorf("to go through the devices by keys sends the form %d times", got)
	}
	reach("the button", ".filters button")
	b.loads(func() { b.press(kb.Enter) })
	b.await(`location.search == '?device=desktop'`)
	if !eval[bool](b, `document.activeElement.matches('.filters button')`) {
		b.t.Error("after a filter took effect the focus is not where it was")
	}
	if got := eval[string](b, `document.querySelector('.chips').innerText`); !strings.Contains(got, "Device: Desktop") {
		b.t.Errorf("filters in force: %s", got)
	}
	reach("the filter that is in force", ".chips a")
	b.loads(func() { b.press(kb.Enter) })
	b.await(`location.search == ''`)

	b.loads(func() { // by mouse a list takes effect at once
		b.say(`(document.querySelector('.filters').dispatchEvent(new PointerEvent('pointerdown')), document.querySelector('.filters [name=device]').value = 'desktop',
			document.querySelector('.filters [name=device]').dispatchEvent(new Event('change', {bubbles: true})))`)
	})
	b.await(`location.search == '?device=desktop'`)
}

// Without script a button applies the filters, and details open by themselves.
func TestAdminOverviewWithoutScript(t *testing.T) {
	w := newWorld(t, settings{config: sharedCookie})
	w.user(account.Viewer)
	b := w.open()
	b.visit(shopURL)
	b.as(account.Viewer, "sites/shop/").scripts(false).load(adminURL + "sites/shop/")
	eval[bool](b, `(document.querySelector('[name=device]').selectedIndex = 1, true)`) // so few are merged
	b.loads(func() { b.click(".filters button") })
	if got := eval[string](b, "location.search"); got != "?device=other" {
		t.Errorf("the form leads to %s", got)
	}
	b.click(".stat .means > summary")
	if !eval[bool](b, `document.querySelector('.stat .means p').checkVisibility()`) {
		t.Error("a definition does not open")
	}
}
