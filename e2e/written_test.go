package e2e

import (
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// H: a script that was let in comes after the page was read, and may not write over it: what it writes comes where it stands,
// scripts before those that wait behind it, and the page stays whole. What the page itself writes while it is being read is its
// own business, before and after that.
func TestDocumentWrite(t *testing.T) {
	served := newServed()
	writes := func(id string) string {
		return `document.write('<i class=written>` + id + `</i>');` + pushes(id)
	}
	body := `<p id=first>First</p><script>document.write('<b class=own>own</b>')</script>
<script type="text/plain" data-stile="analytics">` + writes("inline") + `</script>
<script type="text/plain" data-stile="analytics" data-src="/test/js/writes-src"></script>
<script type="text/plain" data-stile="analytics">document.write(unescape("%3Cscript src='/test/js/beacon'%3E%3C/script%3E") + '<i class=writ');document.write('ten>beacon</i>')</script>
<svg><script type="text/plain" data-stile="analytics" data-href="" data-stile-href="/test/js/svg-src"></script><script type="text/plain" data-stile="analytics" data-href="">` + pushes("svg") + `</script></svg>
<script type="text/plain" data-category="analytics">document.writeln('<i class=written>line</i>');` + pushes("line") + `</script>
<template data-stile="analytics"><p>A widget</p><script>` + writes("template") + `</script></template>
<template data-stile="functional" data-embed="Post Co"><script>` + writes("once") + `</script></template>
<script src="/test/when-let-in"></script><script>document.write('<b class=own>later</b>')</script>
<p id=last>Last</p>`
	mux := http.NewServeMux()
	files := served.with(map[string]testPage{"page": {body: body}})
	mux.Handle("/", files)
	var once sync.Once
	// Two scripts of the page's: while the parser waits for this one, the other is let in and asked for.
	letIn := make(chan struct{})
	mux.HandleFunc("/test/js/writes-src", func(rw http.ResponseWriter, r *http.Request) {
		once.Do(func() { close(letIn) })
		files.ServeHTTP(rw, r)
	})
	mux.HandleFunc("/test/when-let-in", func(rw http.ResponseWriter, r *http.Request) {
		select {
		case <-letIn:
		case <-r.Context().Done():
		}
		rw.Header().Set("Content-Type", "text/javascript")
	})
	w := newWorld(t, settings{config: sharedCookie, pages: mux})
	b := w.open().visit(shopURL + "/")
	eval[bool](b, `stile.accept(['analytics']).then(() => true)`)
	said := b.console()
	b.visit(shopURL + "/test/page").await(`window.ran?.length >= 7`)
	b.await(`document.querySelector('body > stile-embed [value=once]')`).click("body > stile-embed [value=once]").await(`window.ran.length >= 8 && document.querySelectorAll('.written').length >= 6`)
	if got, want := eval[[]string](b, `window.ran`), []string{"inline", "writes-src", "beacon", "svg-src", "svg", "line", "template", "once"}; !cmp.Equal(got, want) {
		t.Errorf("they ran as %q, want %q", got, want)
	}
	if got, want := eval[[]string](b, `[...document.querySelectorAll('.own, .written, #first, #last')].map(e => e.id || e.className + ' ' + e.textContent)`),
		[]string{"first", "own own", "written inline", "written writes-src", "written beacon", "written line", "written template", "written once", "own later", "last"}; !cmp.Equal(got, want) {
		t.Errorf("in the page is %q, want %q", got, want)
	}
	if got := said(); len(got) > 0 {
		t.Errorf("the console says %q", got)
	}
}

// H: what the parser is still in the middle of is let in once it was read to its end, and whole.
func TestMarkupHalfRead(t *testing.T) {
	for name, halves := range map[string][2]string{
		"script":   {`<script type="text/plain" data-stile="analytics">window.half = "first"; `, `window.whole = window.half + " second"</script>`},
		"template": {`<template data-stile="analytics"><script>window.half = "first"</script>`, `<script>window.whole = window.half + " second"</script></template>`},
		"video":    {`<video data-stile="analytics" preload=auto onloadstart="window.whole = 'first second'">`, `<source data-src="/test/film/film"></video>`},
	} {
		t.Run(name, func(t *testing.T) {
			served := newServed()
			mux := http.NewServeMux()
			files := served.with(map[string]testPage{"page": {body: `<script type="text/plain" data-stile="analytics" data-src="/test/js/early"></script>` + halves[0] + "HALF" + halves[1]}})
			letIn := make(chan struct{})
			mux.HandleFunc("/test/js/early", func(rw http.ResponseWriter, r *http.Request) {
				files.ServeHTTP(rw, r)
				close(letIn)
			})
			mux.HandleFunc("/", func(rw http.ResponseWriter, r *http.Request) {
				whole := httptest.NewRecorder()
				files.ServeHTTP(whole, r)
				before, after, halved := strings.Cut(whole.Body.String(), "HALF")
				rw.Header().Set("Content-Type", whole.Header().Get("Content-Type"))
				_, _ = io.WriteString(rw, before)
				if !halved {
					return
				}
				_ = http.NewResponseController(rw).Flush()
				select {
				case <-letIn: // so that markup was looked for by now
				case <-r.Context().Done():
				}
				_, _ = io.WriteString(rw, after)
			})
			w := newWorld(t, settings{config: sharedCookie, pages: mux})
			b := w.open().visit(shopURL + "/")
			thrown := b.errors()
			eval[bool](b, `stile.accept(['analytics']).then(() => true)`)
			b.visit(shopURL + "/test/page").await(`window.whole`)
			if got := eval[string](b, `window.whole`); got != "first second" {
				t.Errorf("it ran as %q", got)
			}
			if name == "video" {
				w.until("the film", func() bool { return slices.Contains(served.list(), "film") })
			}
			if got := thrown(); len(got) > 0 {
				t.Errorf("scripts threw %q", got)
			}
		})
	}
}
