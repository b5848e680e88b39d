package e2e

import (
	"testing"
)

// marked puts a marker into the page, which is gone when the page is loaded anew.
func (b *tab) marked() *tab {
	b.t.Helper()
	eval[bool](b, "window.marker = true")
	return b
}

func (b *tab) stillMarked() bool {
	b.t.Helper()
	return eval[bool](b, "window.marker === true")
}

// clean checks that nothing of a tag is left in the browser's first-party storage.
func (b *tab) clean() {
	b.t.Helper()
	b.await(`!sessionStorage.stile_left`) // what the page before left to do is fetched when it is needed
	for _, name := range []string{"hc_id", "chat_id"} {
		if c := b.cookie(name); c != nil {
			b.t.Errorf("%s is left: %+v", name, c)
		}
	}
	if keys := eval[[]string](b, "[...Object.keys(localStorage), ...Object.keys(sessionStorage)]"); len(keys) > 0 {
		b.t.Errorf("storage keys are left: %q", keys)
	}
}

// C3, A9: withdrawing stops the tags, clears what they stored, and reloads the page where a tag cannot be stopped.
func TestC3Withdraw(t *testing.T) {
	for name, withdraw := range map[string]func(b *tab){
		"api":     func(b *tab) { b.say("stile.withdraw()") },
		"reject":  func(b *tab) { b.say("stile.reject()") },
		"dialog":  func(b *tab) { b.click("[data-stile-open]").click(dialog + " [name=accept][value=none]") },
		"nothing": func(b *tab) { b.say("stile.accept([])") },
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, settings{config: sharedCookie})
			b := w.open().visit(shopURL + "/")
			b.decide(accept)
			w.received(all)
			for _, name := range []string{"hc_id", "chat_id"} {
				if b.cookie(name) == nil {
					t.Fatalf("%s was not set: %q", name, b.jar())
				}
			}
			// What a vendor sets for all hosts of the site, and what it keeps for a session, goes as well.
			b.plant(".shop.test", "chat_visitor", "1").plant("www.shop.test", "basket", "1")
			eval[bool](b, `(sessionStorage.setItem('chat_draft', 'x'), localStorage.setItem('own', '1'), true)`)
			b.marked()
			b.loads(func() { withdraw(b) }).settle()
			if b.stillMarked() {
				t.Error("the page was not loaded anew, and the chat goes on")
			}
			if b.shows(banner) {
				t.Error("the visitor is asked after withdrawing")
			}
			if b.cookie("chat_visitor") != nil || b.cookie("basket") == nil {
				t.Errorf("the chat's cookie of the whole site, or not the shop's own, is left: %q", b.jar())
			}
			if own := eval[string](b, `localStorage.own`); own != "1" {
				t.Error("the shop's own storage was cleared")
			}
			eval[bool](b, `delete localStorage.own`)
			b.clean()
			b.granted()
			w.reset()
			w.loaded()
			b.say("window.houseCounter && houseCounter.page()")
			for _, path := range []string{"/basket", "/product/kettle", "/"} {
				b.visit(shopURL + path)
				b.clean()
			}
			w.received(nothing)
			if n := w.records(); n != 2 {
				t.Errorf("%d records, want two: a withdrawal adds, and deletes nothing", n)
			}

			b.marked()
			eval[bool](b, "stile.accept().then(() => true)")
			b.settle()
			w.received(all)
			if !b.stillMarked() {
				t.Error("accepting again loaded the page anew")
			}
		})
	}
}

// C3: where every tag that runs can be stopped, the page stays as it is; accepting again starts them again.
func TestC3WithdrawWithoutReload(t *testing.T) {
	for name, withdraw := range map[string]string{"withdraw": "stile.withdraw()", "reject": "stile.reject()", "less": `stile.accept([])`} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, settings{config: sharedCookie})
			b := w.open().visit(shopURL + "/")
			b.click(choose).click(dialog + " [value=analytics]").decide(dialogSave)
			w.received(map[string]int{"counter": 2})
			b.marked()
			w.reset()
			eval[bool](b, withdraw+".then(() => true)")
			b.settle()
			if !b.stillMarked() {
				t.Fatal("the page was loaded anew for a tag that can be stopped")
			}
			if got := eval[map[string]string](b, "stile.tags")["house-counter"]; got != "stopped" {
				t.Errorf("the counter is %q", got)
			}
			b.say("houseCounter.page()")
			b.settle().clean()
			w.received(nothing)

			eval[bool](b, `stile.accept(["analytics"]).then(() => true)`)
			b.settle()
			w.received(map[string]int{"counter": 2})
			b.say("houseCounter.page()")
			w.received(map[string]int{"counter": 3})
			if !b.stillMarked() {
				t.Error("accepting again loaded the page anew")
			}
			for _, path := range []string{"/", "/basket"} {
				b.views(shopURL+path, map[string]int{"counter": 2})
			}
		})
	}
}

// The page's script can act through every call right after the banner was clicked, with no dialog opened before.
func TestActAfterBanner(t *testing.T) {
	for _, first := range []string{accept, reject} {
		t.Run(first, func(t *testing.T) {
			w := newWorld(t, settings{config: sharedCookie})
			b := w.open().visit(shopURL + "/")
			thrown := b.errors()
			b.decide(first)
			for _, call := range []string{`stile.accept(["analytics", "functional", "marketing"])`, `stile.accept()`} {
				eval[bool](b, call+".then(() => true)")
				b.settle()
			}
			b.loads(func() { b.say("stile.withdraw()") }).settle()
			b.granted()
			if got := thrown(); len(got) > 0 {
				t.Errorf("the page's console got %q", got)
			}
			if n := w.records(); n != 4 {
				t.Errorf("%d records, want four", n)
			}
		})
	}
}
