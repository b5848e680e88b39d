package e2e

import (
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stilehq/stile/server/page"
	"github.com/stilehq/stile/server/vendors"
)

// Done when: none of the saved pages asks a tracker for anything before a choice, whoever the library and the table of
// third-party hosts know as one. All hosts answer, so that what would follow an answer is asked for too.
func TestA1ProxyHoldsEverySavedPage(t *testing.T) {
	folder := os.Getenv("STILE_PAGES")
	if folder == "" {
		t.Skip("skipped: STILE_PAGES names no folder of real pages")
	}
	files, err := filepath.Glob(filepath.Join(folder, "*.html"))
	if err != nil || len(files) == 0 {
		t.Fatal("STILE_PAGES has no pages", err)
	}
	library, err := vendors.New()
	if err != nil {
		t.Fatal(err)
	}
	judge := page.NewJudge(nil, library)
	site := http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		text, err := os.ReadFile(filepath.Join(folder, filepath.Base(r.URL.Path)))
		if err != nil || !slices.Contains(files, filepath.Join(folder, filepath.Base(r.URL.Path))) {
			http.NotFound(rw, r)
			return
		}
		rw.Header().Set("Content-Type", "text/html; charset=utf-8")
		_, _ = rw.Write(text)
	})
	w := newWorld(t, settings{behind: site, vendors: []string{"*"}})
	b := w.open()
	for _, file := range files {
		name := filepath.Base(file)
		b.stranger().visit(shopURL + "/" + name)
		list := w.loaded()
		w.mu.Lock()
		for _, reached := range w.reached {
			list = append(list, "https://"+reached)
		}
		w.reached = nil
		w.mu.Unlock()
		for _, address := range list {
			p, third := judge.Address(address, &url.URL{Scheme: "http", Host: "www.shop.test"})
			// A stylesheet that another takes in is the page's looks, and stays.
			if third && judge.Waits(p) && p.Host != "fonts.googleapis.com" && p.Host != "fonts.gstatic.com" && strings.HasPrefix(address, "http") {
				t.Errorf("%s asked %s of %s", name, address, p.Name)
			}
		}
	}
}
