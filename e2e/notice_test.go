package e2e

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stilehq/stile/server/ledger"
)

// C6, A7, E: from their records a visitor comes to the exact words that they read, without a script, in the language in which they
// read them; axe-core finds nothing, and nothing is wider than the screen.
func TestC6Notice(t *testing.T) {
	w := newWorld(t, settings{config: sharedCookie})
	b := w.open()
	for i, lang := range []string{"en", "de", "ar"} {
		b.header(map[string]string{"Accept-Language": lang})
		b.forget().load(consentURL + "/stile/shop/preferences").submit(`button[value=none]`) // the page of choices speaks the browser's language
		for j, screen := range screens {
			theme := []string{"light", "dark"}[(i+j)%2]
			what := fmt.Sprintf("notice-%s-%s-%s", lang, screen.name, theme)
			b.look(screen.width, screen.height, theme).scripts(false).load(consentURL + "/stile/shop/receipt")
			b.picture("records-" + what)
			b.submit(`a[href*="/notice/"]`)
			b.picture(what)
			b.scripts(true).load(eval[string](b, `location.href`)) // for axe-core
			if got := eval[string](b, `document.documentElement.lang + ' ' + document.documentElement.dir`); got != lang+" "+direction(lang) {
				t.Errorf("%s: lang and dir are %s", what, got)
			}
			b.axe(what, "")
			if wide := eval[int](b, `document.documentElement.scrollWidth - innerWidth`); wide > 0 {
				t.Errorf("%s is %d px too wide", what, wide)
			}
			if n := eval[int](b, `document.querySelectorAll('button, input, form, script').length`); n > 0 {
				t.Errorf("%s has %d parts that could be used: it is to be read", what, n)
			}
		}
	}
	b.header(map[string]string{"Accept-Language": "en"})
	b.forget().visit(shopURL + "/")
	// What stands on the banner that is shown.
	asked := eval[[]string](b, `[...document.querySelectorAll('stile-banner :is(h2, p:not([hidden]), li, button)')].filter(e => e.checkVisibility()).map(e => (e.matches('p.g') ? e.firstChild.textContent : e.textContent).trim())`)
	b.decide(reject).scripts(false).load(consentURL + "/stile/shop/receipt").submit(`a[href*="/notice/"]`)
	page := eval[string](b, `document.body.textContent`)
	if len(asked) < 5 {
		t.Errorf("the banner reads %q", asked)
	}
	for _, line := range asked {
		if !strings.Contains(page, line) {
			t.Errorf("the banner said %q, the page does not: %s", line, page)
		}
	}
	address := eval[string](b, `location.pathname`)
	resp, text := b.fetch(address, "application/json")
	sum := sha256.Sum256(text)
	if hash := base64.RawURLEncoding.EncodeToString(sum[:16]); resp.StatusCode != http.StatusOK || address != "/stile/shop/notice/"+hash {
		t.Errorf("%s has the hash %s", address, hash)
	}
}

// C10: the operator erases a visitor's records while the server runs. No file holds the receipt from then on, the visitor reads that
// nothing is recorded, and their choice is still theirs.
func TestC10Operator(t *testing.T) {
	w := newWorld(t, settings{config: sharedCookie})
	other := w.open().visit(shopURL + "/").decide(reject)
	kept := other.decode(".shop.test", w.keys()...).Receipt
	b := w.open().visit(shopURL + "/").decide(accept)
	receipt := b.decode(".shop.test", w.keys()...).Receipt
	stile := func(args ...string) string {
		t.Helper()
		out, err := exec.CommandContext(t.Context(), stileBinary, append(args, "--data", w.folder)...).CombinedOutput()
		if err != nil {
			t.Errorf("stile %v: %v\n%s", args, err, out)
		}
		return string(out)
	}
	if out := stile("records", "erase", receipt.String(), "--site", "shop", "--yes", "--by", "anna"); !strings.Contains(out, "erased 1 record of shop") {
		t.Errorf("it says %s", out)
	}
	found := 0
	files, err := filepath.Glob(filepath.Join(w.folder, "*.db*"))
	if err != nil || len(files) < 3 {
		t.Fatal(files, err)
	}
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil || bytes.Contains(data, receipt[:]) {
			t.Errorf("%s holds the receipt (%v)", filepath.Base(file), err)
		}
		if bytes.Contains(data, kept[:]) {
			found++
		}
	}
	if found == 0 {
		t.Error("no file holds the other visitor's receipt: the search cannot find any")
	}
	if text := b.load(consentURL + "/stile/shop/receipt").text(); !strings.Contains(text, "There are no records of your choices.") {
		t.Errorf("the visitor reads %q", text)
	}
	b.visit(shopURL + "/")
	if b.shows(banner) {
		t.Error("the choice is gone with the records")
	}
	// The server goes on storing in the same file, and the log has no gap.
	eval[bool](b, `stile.reject().then(() => true)`)
	db, err := ledger.Open(t.Context(), ledger.Options{Path: filepath.Join(w.folder, "stile.db")})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	next, err := db.Find(t.Context(), "shop", b.settle().decode(".shop.test", w.keys()...).Receipt)
	if err != nil || next.Leaf != 3 {
		t.Errorf("the next record is leaf %d, %v: want 3, after two records and the erasure", next.Leaf, err)
	}
	if out := stile("records", "trail", "--site", "shop"); !strings.Contains(out, "operator:anna  erase") {
		t.Errorf("the trail is %s", out)
	}
}
