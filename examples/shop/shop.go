// Package shop is the example shop: a small stationery and tea-ware shop with Stile in front of its tags. It is a
// demonstration. EasyDser is a fictitious company, the figures are made up, and nothing is for sale.
//
// `stile demo` serves it beside stand-in third parties (package thirdparty), so that one sees what they receive: nothing,
// until the visitor says otherwise. Browser tests use both as their oracle.
//
//	/                  the products
//	/product/{slug}    one product; /product/kettle has a film from another company (functional)
//	/basket            lives in its own address, so it needs no cookie
//	/app/...           the gift finder, a single-page section on the History API
//	/privacy           the privacy policy, from policy/2026-11-01.md
//	/received          what the third parties have received; /received/events, /received/log and POST /received/clear
//
// A page is the same for every visitor: it depends on its address and on the log alone. No answer sets a cookie, and
// nothing is loaded from another host but Options.Script and, once it is allowed, the film.
package shop

import (
	"embed"
	"io/fs"
	"net/http"

	"github.com/stilehq/stile/examples/shop/thirdparty"
)

//go:embed web
var web embed.FS

// Options says where the shop's surroundings are. The zero value is a shop without Stile and without a log.
type Options struct {
	Script  string              // URL of Stile's script, the first thing in every page's head
	Frame   string              // URL of Stile's banner as a page, for visitors without JavaScript
	Policy  string              // URL of the policy at Stile, where the cookies and recipients are listed
	Video   string              // base URL of the film's company, such as https://video.example
	Parties *thirdparty.Parties // whose log /received shows
	CSP     string              // Content-Security-Policy of every page
}

// Handler returns the shop.
func Handler(o Options) http.Handler {
	s := &site{options: o, pages: parsePages(), policy: privacyPolicy(o.Policy)}
	mux := http.NewServeMux()

	mux.HandleFunc("GET /{$}", s.home)
	mux.HandleFunc("GET /product/{slug}", s.product)
	mux.HandleFunc("GET /basket", s.basket)
	mux.HandleFunc("GET /app/", s.app) // one shell for every route of the gift finder
	mux.HandleFunc("GET /privacy", s.privacy)
	if o.Parties != nil {
		mux.HandleFunc("GET /received", s.received)
		mux.HandleFunc("POST /received/clear", s.clear)
		mux.HandleFunc("GET /received/events", o.Parties.ServeEvents)
		mux.HandleFunc("GET /received/log", o.Parties.ServeJSON)
	}

	static, err := fs.Sub(web, "web/static")
	if err != nil {
		panic(err) // the path is a valid one, and the folder is compiled in
	}
	for _, pattern := range []string{"GET /img/", "GET /shop.css", "GET /shop.js", "GET /app.js", "GET /received.js"} {
		mux.Handle(pattern, files(static))
	}
	mux.HandleFunc("/", s.notFound)

	return http.NewCrossOriginProtection().Handler(mux)
}

// files serves the style sheet, the scripts and the pictures. A browser asks each time whether it still has the right
// one: a demonstration is started anew more often than it is visited.
func files(static fs.FS) http.Handler {
	server := http.FileServerFS(static)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "no-cache")
		w.Header().Set("X-Content-Type-Options", "nosniff")
		server.ServeHTTP(w, r)
	})
}
