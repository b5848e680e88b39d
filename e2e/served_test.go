package e2e

import (
	"crypto/sha512"
	"encoding/base64"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
)

// served answers the paths that markup in test pages asks for, and writes them down: /test/js/{id} a script that pushes its
// id to window.ran, /test/frame/{id} a page, /test/gif/{id} a picture, /test/css/{id} a style sheet, /test/film/{id} nothing that
// could be played; ids that begin with "slow-" take a while, and
// "hang" waits for release.
type served struct {
	mu    sync.Mutex
	ids   []string
	until chan struct{}
	once  sync.Once
}

func newServed() *served { return &served{until: make(chan struct{})} }

// slowness is how long what is slow takes: it is part of what the page is like, and no wait for anything.
const slowness = 150 * time.Millisecond

func (s *served) with(pages map[string]testPage) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("/", testPages(pages))
	for kind, contentType := range map[string]string{"js": "text/javascript", "frame": "text/html", "gif": "image/gif", "css": "text/css", "film": "video/mp4"} {
		mux.HandleFunc("/test/"+kind+"/{id}", func(rw http.ResponseWriter, r *http.Request) {
			id := r.PathValue("id")
			s.mu.Lock()
			s.ids = append(s.ids, id)
			s.mu.Unlock()
			if id == "hang" {
				select {
				case <-s.until:
				case <-r.Context().Done():
				}
				return
			}
			if strings.HasPrefix(id, "slow-") {
				<-time.After(slowness)
			}
			rw.Header().Set("Content-Type", contentType)
			rw.Header().Set("Cache-Control", "no-store")
			rw.Header().Set("Access-Control-Allow-Origin", "*")
			if kind == "css" {
				fmt.Fprint(rw, sheet)
			}
			if kind == "js" {
				fmt.Fprint(rw, pushes(id))
				if strings.HasPrefix(id, "writes") {
					fmt.Fprintf(rw, ";document.write('<i class=written>%s</i>')", id)
				}
				if strings.HasPrefix(id, "throws") {
					fmt.Fprint(rw, ";throw Error('thrown')")
				}
			}
		})
	}
	return mux
}

// sheet is every style sheet that is served.
const sheet = "body{color:rgb(1,2,3)}"

// pushes is the script of an id.
func pushes(id string) string { return fmt.Sprintf("(window.ran=window.ran||[]).push(%q)", id) }

// digest is the subresource integrity of the script of an id.
func digest(id string) string { return digestOf(pushes(id)) }

func digestOf(text string) string {
	sum := sha512.Sum384([]byte(text))
	return "sha384-" + base64.StdEncoding.EncodeToString(sum[:])
}

func (s *served) release() { s.once.Do(func() { close(s.until) }) }

// list are the ids that were asked for, sorted.
func (s *served) list() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	list := slices.Clone(s.ids)
	slices.Sort(list)
	return list
}

func (s *served) reset() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ids = nil
}

// openIn opens a browser that belongs to a subtest.
func (w *world) openIn(t *testing.T) *tab {
	t.Helper()
	outer := w.t
	w.t = t
	defer func() { w.t = outer }()
	return w.open()
}

// visible waits until something is to be seen.
func (b *tab) visible(selector string) *tab {
	b.t.Helper()
	b.do(chromedp.WaitVisible(chromedp.CSS(selector)))
	return b
}
