// Goshop is a shop in Go whose own code asks what the visitor allows. Whoever accepts functional sees first what they looked
// at before; everybody else gets the general sort, by name, and no cookie (REQUIREMENTS F3). The tags in its pages stand there
// as their vendors wrote them: the middleware lets them wait.
//
//	stile serve examples/goshop/stile.yaml --listen 127.0.0.1:8081 --data data
//	go run ./examples/goshop --data data        # http://127.0.0.1:8090
//
// EasyDser is a fictitious company, and nothing is for sale.
package main

import (
	"flag"
	"html/template"
	"log"
	"net/http"
	"net/http/httputil"
	"net/url"
	"slices"
	"strings"
	"time"

	stile "github.com/stilehq/stile/server"
)

type product struct{ Slug, Name string }

var products = []product{{"caddy", "Tea caddy"}, {"cups", "Two cups"}, {"ink", "Ink"}, {"kettle", "Kettle"}, {"pen", "Pen"}}

var page = template.Must(template.New("page").Parse(`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<title>{{.Title}} - Go shop</title>
<script async src="https://counter.example/counter.js?id=HC-1001"></script>
</head>
<body>
<h1>{{.Title}}</h1>
<p id="sort">{{.Sort}}</p>
<ol>{{range .Products}}<li><a href="/product/{{.Slug}}">{{.Name}}</a></li>{{end}}</ol>
<p><a href="#" data-stile-open>Privacy choices</a></p>
</body>
</html>
`))

type view struct {
	Title, Sort string
	Products    []product
}

func main() {
	listen := flag.String("listen", "127.0.0.1:8090", "address to listen on")
	config := flag.String("config", "examples/goshop/stile.yaml", "the site's file")
	data := flag.String("data", "data", "data folder of stile serve, for its keys")
	consent := flag.String("stile", "http://127.0.0.1:8081", "where stile serve is")
	flag.Parse()
	shop, err := newShop(*config, *data, *consent)
	if err != nil {
		log.Fatal("goshop: ", err)
	}
	log.Print("the shop is at http://", *listen)
	server := http.Server{Addr: *listen, Handler: shop, ReadHeaderTimeout: 10 * time.Second}
	log.Fatal("goshop: ", server.ListenAndServe())
}

// newShop is the shop, with Stile under /stile/ on its own origin, as a proxy in front of both would have it.
func newShop(config, data, consent string) (http.Handler, error) {
	gate, err := stile.NewMiddleware(stile.MiddlewareOptions{Config: config, Data: data})
	if err != nil {
		return nil, err
	}
	to, err := url.Parse(consent)
	if err != nil {
		return nil, err
	}
	shop := http.NewServeMux()
	shop.HandleFunc("GET /{$}", list)
	shop.HandleFunc("GET /product/{slug}", show)
	mux := http.NewServeMux()
	mux.Handle("/stile/", &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
		r.SetURL(to)
		r.SetXForwarded()
		r.Out.Host = r.In.Host
	}})
	mux.Handle("/", gate.Handler(shop))
	return mux, nil
}

// list shows the products: what this visitor looked at comes first where they allow that, and the general sort otherwise.
func list(w http.ResponseWriter, r *http.Request) {
	v := view{Title: "Products", Sort: "By name", Products: slices.Clone(products)}
	if looked := looked(r); len(looked) > 0 {
		v.Sort = "What you looked at first"
		slices.SortStableFunc(v.Products, func(a, b product) int { return rank(looked, a) - rank(looked, b) })
	}
	render(w, v)
}

func rank(looked []string, p product) int {
	if i := slices.Index(looked, p.Slug); i >= 0 {
		return i
	}
	return len(looked)
}

// show shows a product, and remembers it of a visitor who allows that.
func show(w http.ResponseWriter, r *http.Request) {
	i := slices.IndexFunc(products, func(p product) bool { return p.Slug == r.PathValue("slug") })
	if i < 0 {
		http.NotFound(w, r)
		return
	}
	if stile.ChoiceFrom(r).Allows("functional") {
		seen := slices.DeleteFunc(looked(r), func(slug string) bool { return slug == products[i].Slug })
		http.SetCookie(w, &http.Cookie{
			Name: "goshop_seen", Value: strings.Join(append([]string{products[i].Slug}, seen...), "."), Path: "/", MaxAge: 30 * 24 * 60 * 60,
			HttpOnly: true, Secure: r.TLS != nil, SameSite: http.SameSiteLaxMode,
		})
	}
	render(w, view{Title: products[i].Name, Sort: "One product", Products: products[i : i+1]})
}

// looked are the products that the visitor looked at, the latest first; none where they do not allow it.
func looked(r *http.Request) []string {
	seen, err := r.Cookie("goshop_seen")
	if !stile.ChoiceFrom(r).Allows("functional") || err != nil {
		return nil
	}
	return slices.DeleteFunc(strings.Split(seen.Value, "."), func(slug string) bool {
		return !slices.ContainsFunc(products, func(p product) bool { return p.Slug == slug })
	})
}

func render(w http.ResponseWriter, v view) {
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	if err := page.Execute(w, v); err != nil {
		log.Print("goshop: ", err)
	}
}
